"""A worker's role has exactly what the running worker calls: nothing missing, nothing superfluous.

Every worker of the fleet runs, each behind its own recording endpoint, and gets messages that end
in each way: done, again, poison, and given up by a drain in the middle of work.
"""

import asyncio
import contextlib
import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from billfleet_contracts import CATALOGUE, QUEUES, AccountPeriod, QueueSpec, RebillAccounts
from billfleet_db import Database, outbox
from billfleet_db.outbox import NewOutboxRow
from billfleet_db.tenants import Tenant, ensure_tenant
from billfleet_ops.clients import Clients
from billfleet_producers import Producer
from billfleet_producers.claim_check import ClaimCheck
from billfleet_workers.adapters.aws_client import AwsClients
from billfleet_workers.adapters.dynamodb_audit import DynamoAuditTrail
from billfleet_workers.adapters.dynamodb_view import DynamoTransactionView
from billfleet_workers.adapters.s3_objects import S3ObjectStore
from billfleet_workers.adapters.ses import SesMailer
from billfleet_workers.main import WORKERS, run_fleet
from billfleet_workers.main.fleet_permissions import worker_permissions
from billfleet_workers.main.permissions import Permission, claims, reads
from billfleet_workers.runtime.clock import SystemClock
from billfleet_workers.runtime.errors import Misconfigured
from billfleet_workers.runtime.ports.audit import AuditEntry
from billfleet_workers.runtime.ports.mailer import FinishedMail
from billfleet_workers.runtime.ports.objects import ObjectMissing
from billfleet_workers.runtime.ports.transaction_view import ViewEntry
from billfleet_workers.settings import Settings
from recording_endpoint import RecordingEndpoint

GOLDEN = Path(__file__).parents[2] / "wire" / "golden"
MAIL = FinishedMail("a@example.com", "b@example.com", b"Subject: a\r\n\r\na")
VIEW_ENTRY = ViewEntry(
    tenant="acme",
    transaction_id="t",
    card_id="c",
    customer_id="c1",
    kind="points",
    occurred_at=datetime(2026, 3, 2, tzinfo=UTC),
    expires_at=datetime(2030, 3, 2, tzinfo=UTC),
)
AUDIT_ENTRY = AuditEntry(
    tenant="acme",
    at=VIEW_ENTRY.occurred_at,
    event="refused",
    subject="c",
    reason="r",
    reference="t",
    work_id="w",
    expires_at=VIEW_ENTRY.expires_at,
)
FOR_ITS_ANSWER = {Permission("s3:ListBucket", "uploads")}
"""Never called: without it S3 says 403 of an object that is missing, and with it 404."""
PATIENCE_S = 40.0
LOOK_EVERY_S = 0.05
NOTICE = {
    "Type": "Notification",
    "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
    "TopicArn": "arn:aws:sns:us-west-2:123456789012:feedback",
    "Message": "{}",
    "Timestamp": "2012-05-02T00:54:06.655Z",
    "SignatureVersion": "1",
    "Signature": "forged",
    "SigningCertURL": "https://sns.us-west-2.amazonaws.com/SimpleNotificationService-f3e.pem",
    "UnsubscribeURL": "https://sns.us-west-2.amazonaws.com/?Action=Unsubscribe",
}


def bodies(spec: QueueSpec, mark: str) -> list[str]:
    """One message per event type that the queue's own route carries, as its form is."""
    if spec.form == "sns":
        return [json.dumps({**NOTICE, "MessageId": f"{NOTICE['MessageId'][:-4]}{mark:0>4}"})]
    found = []
    for entry in CATALOGUE.values():
        if entry.route.name == spec.name and spec.form == "envelope":
            said = json.loads((GOLDEN / f"{entry.type}.json").read_text())
            found.append(json.dumps({**said, "id": f"{said['id']}-{mark}", "dedupekey": mark}))
    return found


class Queues:
    """Sends to the queues of a stack."""

    def __init__(self, aws: Clients, stack: str) -> None:
        self._aws = aws
        self._stack = stack

    async def send(self, spec: QueueSpec, body: str, number: str) -> None:
        await asyncio.to_thread(self._send, spec, body, number)

    def _send(self, spec: QueueSpec, body: str, number: str) -> None:
        url = self._aws.sqs.get_queue_url(QueueName=spec.physical_name(self._stack))["QueueUrl"]
        order: dict[str, Any] = {"MessageGroupId": "g", "MessageDeduplicationId": number}
        self._aws.sqs.send_message(QueueUrl=url, MessageBody=body, **(order if spec.fifo else {}))


@asynccontextmanager
async def accounts_locked(superuser: Database) -> AsyncIterator[None]:
    """Who rebills gets nowhere, so that its worker is drained in the middle of work."""
    async with superuser.transaction() as connection:
        await connection.execute(text("LOCK TABLE billing.accounts"))
        yield


async def until(holds: Callable[[], bool]) -> bool:
    for _ in range(round(PATIENCE_S / LOOK_EVERY_S)):
        if holds():
            return True
        await asyncio.sleep(LOOK_EVERY_S)
    return False


@pytest.mark.timeout(300)
async def test_every_worker_may_do_exactly_what_it_does(
    aws: Clients,
    aws_environment: dict[str, str],
    deployed_stack: str,
    database_url: str,
    superuser_database: Database,
) -> None:
    await seed(superuser_database)
    declared = {name: set(worker_permissions()[name]) for name in WORKERS}
    queues, stop = Queues(aws, deployed_stack), asyncio.Event()
    specs = [spec for spec in QUEUES.values() if spec.worker in WORKERS]
    async with AsyncExitStack() as closing:
        endpoints = {
            name: await closing.enter_async_context(
                RecordingEndpoint(aws_environment["AWS_ENDPOINT_URL"], deployed_stack)
            )
            for name in WORKERS
        }
        running = [
            asyncio.create_task(
                run_fleet(_settings(database_url, deployed_stack, one.url), [name], stop=stop)
            )
            for name, one in endpoints.items()
        ]
        await leave_in_s3(deployed_stack)
        for spec in specs:
            for mark in ("1", "1", "2"):
                for number, body in enumerate(bodies(spec, mark)):
                    await queues.send(spec, body, f"{mark}-{number}")
            await queues.send(spec, "{", "broken")

        def unsettled() -> list[str]:
            seen = {name: _actions(one.needed) for name, one in endpoints.items()}
            settling = {"sqs:DeleteMessage", "sqs:SendMessage"}
            return [spec.name for spec in specs if not settling <= seen[spec.worker]]

        assert await until(lambda: not unsettled()), unsettled()
        async with accounts_locked(superuser_database):
            for spec in specs:
                for number, body in enumerate(bodies(spec, "3")[:1]):
                    await queues.send(spec, body, f"3-{number}")
            for name, use in PORTS.items():
                await use(_clients(endpoints[name]), deployed_stack)
            await until(lambda: _shown(endpoints, declared))
            stop.set()
            await asyncio.gather(*running)
    called = {name: endpoint.needed for name, endpoint in endpoints.items()}
    for name, needed in called.items():
        assert needed <= declared[name], f"{name} lacks what it calls"
        unused = declared[name] - engines(name) - needed - FOR_ITS_ANSWER
        assert unused == set(), f"{name} has what it never calls"
    by_engine = {one.action for name in called for one in called[name] & engines(name)}
    assert by_engine == {one.action for name in called for one in engines(name)}


def engines(worker: str) -> set[Permission]:
    """What the engine does for every worker alike: it is enough that one of them shows it."""
    return {
        one
        for spec in QUEUES.values()
        if spec.worker == worker
        for one in (*reads(spec), *claims())
    }


async def leave_in_s3(stack: str) -> None:
    """A message whose body is above the limit, as far as its sender is concerned."""
    check = ClaimCheck(f"{stack}-files", above_bytes=10)
    periods = (AccountPeriod(account_id="a1", period_start=date(2026, 3, 1)),)
    event = RebillAccounts(as_of=date(2026, 3, 1), accounts=periods)
    async with Producer(
        stack=stack, source="/test", region="us-east-1", claim_check=check
    ) as producer:
        await producer.send(event, tenant="acme")


async def seed(database: Database) -> None:
    """A tenant, and one event for each queue and topic in the outbox."""
    routes = {entry.route: entry for entry in CATALOGUE.values()}
    rows = [
        NewOutboxRow("acme", str(uuid.uuid4()), entry.type, route.kind, route.name, "g", "k", "{}")
        for route, entry in routes.items()
    ]
    async with database.transaction() as connection:
        await ensure_tenant(connection, Tenant("acme", "Acme", "USD"))
        await outbox.add(connection, rows)


def _shown(endpoints: dict[str, RecordingEndpoint], declared: dict[str, set[Permission]]) -> bool:
    """Whether everything was seen but what the engine does, some of which comes with the drain."""
    return all(
        declared[name] - engines(name) - FOR_ITS_ANSWER <= endpoint.needed
        for name, endpoint in endpoints.items()
    )


async def _use_view(clients: AwsClients, stack: str) -> None:
    view = await DynamoTransactionView.open(clients, stack=stack, clock=SystemClock())
    await view.put([VIEW_ENTRY])
    await view.close()
    trail = await DynamoAuditTrail.open(clients, stack=stack, clock=SystemClock())
    await trail.put([AUDIT_ENTRY])
    await trail.close()


async def _export(clients: AwsClients, stack: str) -> None:
    store = await S3ObjectStore.open(clients, bucket=f"{stack}-files")
    for ending in ("complete", "abort"):
        upload = await store.begin_upload(f"exports/{ending}", content_type="text/csv")
        await upload.put_part(1, b"a")
        await getattr(upload, ending)()
    await store.get("exports/complete")
    await store.delete("exports/complete")
    assert [entry async for entry in store.list("exports/none")] == []
    await store.abort_uploads("exports/")
    await store.close()


async def _put(clients: AwsClients, stack: str, key: str) -> None:
    store = await S3ObjectStore.open(clients, bucket=f"{stack}-files")
    await store.put(key, b"a", content_type="text/plain")
    await store.close()


async def _see_upload(clients: AwsClients, stack: str) -> None:
    uploads = await S3ObjectStore.open(clients, bucket=f"{stack}-uploads")
    with contextlib.suppress(ObjectMissing):
        await uploads.get("avatars/new")
    await uploads.close()
    await _put(clients, stack, "avatars/new")


async def _mail(clients: AwsClients, stack: str) -> None:
    await _put(clients, stack, "mails/one")
    mailer = await SesMailer.open(clients)
    with contextlib.suppress(Misconfigured):
        await mailer.send(MAIL)
    await mailer.close()


PORTS: dict[str, Callable[[AwsClients, str], Awaitable[None]]] = {
    "loyalty-view": _use_view,
    "export": _export,
    "avatar": _see_upload,
    "email": _mail,
    "email-due-bills": partial(_put, key="bills/one"),
}
"""What handlers use beside the database, called directly where a handler needs a world for it."""


def _clients(endpoint: RecordingEndpoint) -> AwsClients:
    return AwsClients(region="us-east-1", endpoint_url=endpoint.url)


def _actions(needed: set[Permission]) -> set[str]:
    return {one.action for one in needed}


def _settings(database_url: str, stack: str, endpoint_url: str) -> Settings:
    return Settings.model_validate(
        {
            "DATABASE_URL": database_url,
            "AWS_ENDPOINT_URL": endpoint_url,
            "stack": stack,
            "poll_wait_s": 1,
            "drain_deadline_s": 4,
            "loyalty_view_retain_days": 36_500,
            "log_level": "error",
        }
    )
