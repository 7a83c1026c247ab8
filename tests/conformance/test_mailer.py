"""One exam for the mailer port: in memory, and on SES as the emulator plays it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
from aiohttp import web

from billfleet_ops.clients import Clients
from billfleet_workers.adapters.aws_client import AwsClients
from billfleet_workers.adapters.memory_mailer import MemoryMailer
from billfleet_workers.adapters.ses import SesMailer
from billfleet_workers.runtime.errors import Misconfigured, Unavailable
from billfleet_workers.runtime.ports.mailer import (
    FinishedMail,
    Mailer,
    Rejected,
    Taken,
    Throttled,
    Unheard,
)

SENDER = "billing@conformance.example"
MAIL = FinishedMail(
    SENDER,
    "ada@customers.example",
    b"From: billing@conformance.example\r\nTo: ada@customers.example\r\nSubject: Hi\r\n\r\n.\r\n",
    {"billfleet-tenant": "acme"},
)


@pytest.fixture(params=["memory", "ses"])
async def mailer(request: pytest.FixtureRequest) -> AsyncIterator[Mailer]:
    if request.param == "memory":
        yield MemoryMailer()
        return
    aws: Clients = request.getfixturevalue("aws")
    aws.sesv2.create_email_identity(EmailIdentity=SENDER)
    environment: dict[str, str] = request.getfixturevalue("aws_environment")
    clients = AwsClients(region="us-east-1", endpoint_url=environment["AWS_ENDPOINT_URL"])
    ses = await SesMailer.open(clients)
    yield ses
    await ses.close()


async def test_a_mail_that_is_taken_gets_a_name_of_its_own(mailer: Mailer) -> None:
    first, second = await mailer.send(MAIL), await mailer.send(MAIL)
    assert isinstance(first, Taken)
    assert isinstance(second, Taken)
    assert first.service_id != second.service_id


@pytest.fixture(params=["memory", "ses"])
async def away(
    request: pytest.FixtureRequest, aws_environment: dict[str, str]
) -> AsyncIterator[Mailer]:
    if request.param == "memory":
        memory = MemoryMailer()
        memory.faults.take_away()
        yield memory
        return
    clients = AwsClients(region="us-east-1", endpoint_url="http://127.0.0.1:9")
    ses = await SesMailer.open(clients)
    yield ses
    await ses.close()


async def test_a_service_that_was_not_reached_has_surely_not_taken_the_mail(away: Mailer) -> None:
    with pytest.raises(Unavailable):
        await away.send(MAIL)


@dataclass
class Answering:
    """A service that answers as it is told, and counts how often it is called."""

    status: int = 200
    body: dict[str, Any] | None = None
    calls: int = 0

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.calls += 1
        await request.read()
        if self.body is None:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        code = str(self.body.get("code", ""))
        return web.json_response(
            {"message": self.body["message"]},
            status=self.status,
            headers={"x-amzn-ErrorType": code},
        )


@pytest.fixture
async def told(aws_environment: dict[str, str]) -> AsyncIterator[tuple[SesMailer, Answering]]:
    service = Answering()
    application = web.Application()
    application.router.add_route("*", "/{tail:.*}", service.answer)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    mailer = await SesMailer.open(
        AwsClients(region="us-east-1", endpoint_url=f"http://127.0.0.1:{port}")
    )
    yield mailer, service
    await mailer.close()
    await runner.cleanup()


@pytest.mark.parametrize(
    ("status", "code", "message", "meaning"),
    [
        (429, "TooManyRequestsException", "Maximum sending rate exceeded.", Throttled),
        (400, "LimitExceededException", "Daily message quota exceeded.", Throttled),
        (400, "MessageRejected", "Email content is not acceptable", Rejected),
        (400, "BadRequestException", "Local address contains control", Rejected),
        (503, "InternalFailure", "try again", Unheard),
    ],
)
async def test_what_ses_answers_means_one_thing_and_the_call_is_made_once(
    told: tuple[SesMailer, Answering], status: int, code: str, message: str, meaning: type
) -> None:
    """R47: the client repeats nothing, since a call without an answer may have sent a mail."""
    mailer, service = told
    service.status, service.body = status, {"code": code, "message": message}
    assert isinstance(await mailer.send(MAIL), meaning)
    assert service.calls == 1


async def test_a_connection_that_breaks_after_the_call_leaves_the_mail_unheard(
    told: tuple[SesMailer, Answering],
) -> None:
    mailer, service = told
    assert isinstance(await mailer.send(MAIL), Unheard)
    assert service.calls == 1


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("MessageRejected", "Email address is not verified. billing@conformance.example"),
        ("SendingPausedException", "Sending is paused"),
        ("AccessDeniedException", "not authorized"),
        ("NotFoundException", "Configuration set <nothing> does not exist"),
    ],
)
async def test_what_concerns_all_mails_is_a_setting_to_repair_and_no_mail_is_at_fault(
    told: tuple[SesMailer, Answering], code: str, message: str
) -> None:
    mailer, service = told
    service.status, service.body = 400, {"code": code, "message": message}
    with pytest.raises(Misconfigured):
        await mailer.send(MAIL)
