"""A worker's role has exactly what the running worker calls: nothing missing, nothing superfluous.

Every worker of the fleet runs, each behind its own recording endpoint, and gets messages that end
in each way: done, again, poison, and given up by a drain in the middle of work.
"""

import asyncio
import json
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sqlalchemy import text

from billfleet_contracts import CATALOGUE, QUEUES, QueueSpec
from billfleet_db import Database, outbox
from billfleet_db.outbox import NewOutboxRow
from billfleet_db.tenants import Tenant, ensure_tenant
from billfleet_ops.clients import Clients
from billfleet_workers.adapters.aws_client import AwsClients
from billfleet_workers.adapters.dynamodb_view import DynamoTransactionView
from billfleet_workers.main import WORKERS, run_fleet
from billfleet_workers.main.fleet_permissions import worker_permissions
from billfleet_workers.main.permissions import Permission, claims, reads
from billfleet_workers.runtime.clock import SystemClock
from billfleet_workers.runtime.ports.transaction_view import ViewEntry
from billfleet_workers.settings import Settings
from recording_endpoint import RecordingEndpoint

GOLDEN = Path(__file__).parents[2] / "wire" / "golden"
VIEW_ENTRY = ViewEntry(
    tenant="acme",
    transaction_id="t",
    card_id="c",
    customer_id="c1",
    kind="points",
    occurred_at=datetime(2026, 3, 2, tzinfo=UTC),
    expires_at=datetime(2030, 3, 2, tzinfo=UTC),
)
PATIENCE_S = 25.0
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
async def everything_locked(superuser: Database) -> AsyncIterator[None]:
    """No handler gets anywhere: every table but those that processes beat in is locked."""
    tables = text(
        "SELECT format('%I.%I', n.nspname, c.relname) FROM pg_class c "
        "JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p') "
        "AND n.nspname NOT IN ('pg_catalog', 'information_schema', 'fleet', 'public')"
    )
    async with superuser.transaction() as connection:
        names = [str(name) for (name,) in await connection.execute(tables)]
        await connection.execute(text(f"LOCK TABLE {', '.join(names)}"))
        yield


async def until(holds: Callable[[], bool]) -> bool:
    for _ in range(round(PATIENCE_S / LOOK_EVERY_S)):
        if holds():
            return True
        await asyncio.sleep(LOOK_EVERY_S)
    return False


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
        for spec in specs:
            for mark in ("1", "1", "2"):
                for number, body in enumerate(bodies(spec, mark)):
                    await queues.send(spec, body, f"{mark}-{number}")
            await queues.send(spec, "{", "broken")

        def is_settled() -> bool:
            seen = {name: _actions(one.needed) for name, one in endpoints.items()}
            return all({"sqs:DeleteMessage", "sqs:SendMessage"} <= seen[s.worker] for s in specs)

        assert await until(is_settled)
        async with everything_locked(superuser_database):
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
        unused = declared[name] - engines(name) - needed
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
        declared[name] - engines(name) <= endpoint.needed for name, endpoint in endpoints.items()
    )


async def _use_view(clients: AwsClients, stack: str) -> None:
    view = await DynamoTransactionView.open(clients, stack=stack, clock=SystemClock())
    await view.put([VIEW_ENTRY])
    await view.close()


PORTS: dict[str, Callable[[AwsClients, str], Awaitable[None]]] = {"loyalty-view": _use_view}
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
