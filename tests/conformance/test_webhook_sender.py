"""The exam of the webhook port: in memory and over HTTP; and what only HTTP can be asked."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from billfleet_workers.adapters.memory_webhooks import MemoryWebhookSender
from billfleet_workers.adapters.webhook_http import HttpWebhookSender
from billfleet_workers.runtime.ports.webhooks import (
    TargetRefused,
    TargetUnreachable,
    WebhookAnswer,
    WebhookSender,
)


class Endpoint:
    """An HTTP server on loopback that keeps what it hears and answers as it is told."""

    def __init__(self) -> None:
        self.heard: list[bytes] = []
        self.answer = b"HTTP/1.1 204 No Content\r\n\r\n"
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            int(line.split(b":")[1])
            for line in head.split(b"\r\n")
            if line.lower().startswith(b"content-length")
        )
        self.heard.append(head + await reader.readexactly(length))
        writer.write(self.answer)
        await writer.drain()
        writer.close()


@pytest.fixture
async def endpoint() -> AsyncIterator[Endpoint]:
    endpoint = Endpoint()
    server = await asyncio.start_server(endpoint.serve, "127.0.0.1", 0)
    endpoint.port = server.sockets[0].getsockname()[1]
    yield endpoint
    server.close()


@pytest.fixture(params=["memory", "http"])
async def sender(request: pytest.FixtureRequest) -> AsyncIterator[WebhookSender]:
    made: WebhookSender
    if request.param == "memory":
        made = MemoryWebhookSender(to_loopback=True)
    else:
        made = await HttpWebhookSender.open(to_loopback=True)
    yield made
    await made.close()
    await made.close()


async def test_post_is_answered(sender: WebhookSender, endpoint: Endpoint) -> None:
    answer = await sender.post(f"http://127.0.0.1:{endpoint.port}/h", b"{}", {"webhook-id": "e"})
    assert (answer.status, answer.is_taken) == (204, True)


@pytest.mark.parametrize("url", ["https://169.254.169.254/x", "https://u:p@a.test/", "ftp://a/"])
async def test_address_inwards_is_refused(sender: WebhookSender, url: str) -> None:
    with pytest.raises(TargetRefused):
        await sender.post(url, b"{}", {})


@pytest.fixture
async def http(endpoint: Endpoint) -> AsyncIterator[HttpWebhookSender]:
    """Resolves every name to this machine."""

    async def here(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.1"]

    sender = await HttpWebhookSender.open(to_loopback=True, resolve=here)
    yield sender
    await sender.close()


async def test_body_and_headers_arrive_as_they_were_signed(
    http: HttpWebhookSender, endpoint: Endpoint
) -> None:
    url = f"http://shop.test:{endpoint.port}/hooks?x=1"
    await http.post(url, b'{"a":1}', {"content-type": "application/json", "webhook-id": "e-1"})
    [heard] = endpoint.heard
    assert heard.startswith(b"POST /hooks?x=1 HTTP/1.1\r\n")
    assert f"host: shop.test:{endpoint.port}".encode() in heard.lower()
    assert b"webhook-id: e-1" in heard.lower()
    assert heard.endswith(b'\r\n\r\n{"a":1}')


async def test_redirect_is_an_answer_and_is_not_followed(
    http: HttpWebhookSender, endpoint: Endpoint
) -> None:
    where = f"http://127.0.0.1:{endpoint.port}/elsewhere"
    endpoint.answer = f"HTTP/1.1 302 Found\r\nLocation: {where}\r\n\r\n".encode()
    answer = await http.post(f"http://a.test:{endpoint.port}/", b"{}", {})
    assert (answer.status, answer.is_taken, len(endpoint.heard)) == (302, False, 1)


async def test_endless_answer_is_read_to_its_beginning(
    http: HttpWebhookSender, endpoint: Endpoint
) -> None:
    endpoint.answer = b"HTTP/1.1 500 Oh\r\nContent-Length: 9000000\r\n\r\n" + b"no\x00" * 100_000
    answer = await http.post(f"http://a.test:{endpoint.port}/", b"{}", {})
    assert answer.status == 500
    assert 0 < len(answer.beginning) <= 500
    assert "\x00" not in answer.beginning


@pytest.mark.parametrize("found", [["127.0.0.1"], ["8.8.8.8", "10.0.0.1"], ["::ffff:127.0.0.1"]])
async def test_name_that_leads_inwards_is_refused_before_anything_is_sent(
    endpoint: Endpoint, found: list[str]
) -> None:
    async def look_up(host: str, port: int) -> Sequence[str]:
        return found

    sender = await HttpWebhookSender.open(to_loopback=False, resolve=look_up)
    with pytest.raises(TargetRefused):
        await sender.post(f"https://evil.test:{endpoint.port}/", b"{}", {})
    await sender.close()
    assert endpoint.heard == []


async def test_name_is_asked_once_and_the_connection_goes_to_that_answer(
    endpoint: Endpoint,
) -> None:
    """Rebinding: a second answer would lead elsewhere, and nobody asks for it."""
    answers = iter([["127.0.0.1"]])

    async def look_up(host: str, port: int) -> Sequence[str]:
        return next(answers)

    sender = await HttpWebhookSender.open(to_loopback=True, resolve=look_up)
    answer = await sender.post(f"http://a.test:{endpoint.port}/", b"{}", {})
    await sender.close()
    assert answer == WebhookAnswer(204, "")


async def test_nobody_there_may_be_there_later(http: HttpWebhookSender) -> None:
    with pytest.raises(TargetUnreachable, match="no answer"):
        await http.post("http://a.test:9/", b"{}", {})
