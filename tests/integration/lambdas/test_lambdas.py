"""The Lambda entry points take what AWS hands over, and answer message by message.

`sqs_event.json` is the record of the AWS documentation (Using Lambda with Amazon SQS); a test
fills in the message that it sent and received.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from billfleet_contracts import AccountPeriod, RebillAccounts, encode, wrap
from billfleet_db import Database
from billfleet_ops.clients import Clients
from billfleet_workers.adapters.lambda_queue import LambdaQueue, NotFromSqs
from billfleet_workers.adapters.memory_queue import MemoryQueue
from billfleet_workers.main.lambdas import LambdaHost, handle, sweep
from billfleet_workers.runtime.clock import ManualClock
from billfleet_workers.settings import Settings
from rebill_world import NOW, account, charges, seed

RECORD: dict[str, Any] = json.loads((Path(__file__).parent / "sqs_event.json").read_text())
MARCH = date(2026, 3, 1)


class Remaining:
    """A call's context with that much time left."""

    def __init__(self, ms: int = 30_000) -> None:
        self._ms = ms

    def get_remaining_time_in_millis(self) -> int:
        return self._ms


def rebill(*names: str) -> str:
    periods = tuple(AccountPeriod(account_id=name, period_start=MARCH) for name in names)
    event = RebillAccounts(as_of=MARCH, accounts=periods)
    return encode(wrap(event, tenant="acme", source="/test", now=NOW))


class Trigger:
    """What Lambda does around a function: receive, call, delete what was not reported."""

    def __init__(self, aws: Clients, stack: str) -> None:
        self._aws = aws
        self._stack = stack

    def url(self, name: str) -> str:
        return self._aws.sqs.get_queue_url(QueueName=f"{self._stack}-{name}")["QueueUrl"]

    def send(self, *bodies: str) -> None:
        for body in bodies:
            self._aws.sqs.send_message(QueueUrl=self.url("rebill"), MessageBody=body)

    def event(self) -> dict[str, Any]:
        answer: Any = self._aws.sqs.receive_message(
            QueueUrl=self.url("rebill"), MaxNumberOfMessages=10, AttributeNames=["All"]
        )
        return {
            "Records": [
                RECORD
                | {
                    "messageId": message["MessageId"],
                    "receiptHandle": message["ReceiptHandle"],
                    "body": message["Body"],
                    "attributes": message["Attributes"],
                }
                for message in answer["Messages"]
            ]
        }

    def letters(self) -> list[str]:
        answer = self._aws.sqs.receive_message(
            QueueUrl=self.url("rebill-dlq"), MaxNumberOfMessages=10, WaitTimeSeconds=1
        )
        return [message["Body"] for message in answer.get("Messages", [])]


@pytest.fixture
def trigger(aws: Clients, deployed_stack: str) -> Trigger:
    return Trigger(aws, deployed_stack)


@pytest.fixture
async def host(
    aws_environment: dict[str, str], deployed_stack: str, database_url: str
) -> AsyncIterator[LambdaHost]:
    settings = Settings.model_validate(
        {
            "DATABASE_URL": database_url,
            "AWS_ENDPOINT_URL": aws_environment["AWS_ENDPOINT_URL"],
            "stack": deployed_stack,
        }
    )
    opened = LambdaHost(settings, "rebill")
    yield opened
    await asyncio.to_thread(opened.close)


async def call(host: LambdaHost, event: dict[str, Any], ms: int = 30_000) -> list[str]:
    answer = await asyncio.to_thread(host.handle, event, Remaining(ms))
    return [each["itemIdentifier"] for each in answer["batchItemFailures"]]


async def test_good_messages_are_done_once_and_poison_rests_with_its_reason(
    host: LambdaHost, trigger: Trigger, database: Database
) -> None:
    await seed(database, account("a1"), account("a2"))
    trigger.send(rebill("a1"), "{", rebill("a2"))
    event = trigger.event()
    assert await call(host, event) == []
    assert trigger.letters() == ["{"]
    assert {name for name, _ in await charges(database)} == {"a1", "a2"}
    assert await call(host, event) == [], "a batch that comes again is turned away"
    assert len(await charges(database)) == 2


async def test_what_is_not_finished_in_time_is_reported_and_its_neighbours_are_done(
    host: LambdaHost, trigger: Trigger, database: Database, superuser_database: Database
) -> None:
    await seed(database, account("a1"), account("a2"))
    trigger.send(rebill("a1"), rebill("a2"))
    event = trigger.event()
    from sqlalchemy import text

    async with superuser_database.transaction() as connection:
        await connection.execute(
            text("SELECT 1 FROM billing.accounts WHERE account_id = 'a2' FOR UPDATE")
        )
        failed = await call(host, event, ms=5_000)
    slow = [record["messageId"] for record in event["Records"] if '"a2"' in record["body"]]
    assert failed == slow
    assert {name for name, _ in await charges(database)} == {"a1"}
    # A function that has answered stands still, perhaps for ever: it must hold no lock by then.
    async with superuser_database.transaction() as connection:
        await connection.execute(text("SET LOCAL lock_timeout = '2s'"))
        await connection.execute(
            text("SELECT 1 FROM billing.accounts WHERE account_id = 'a2' FOR UPDATE")
        )


def test_another_trigger_than_sqs_is_refused_in_words() -> None:
    queue = MemoryQueue("rebill", ManualClock(NOW))
    with pytest.raises(NotFromSqs, match="triggered by an SQS queue"):
        LambdaQueue(queue, {"Records": [{"eventSource": "aws:sns"}]})


def test_an_unknown_worker_or_sweep_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BILLFLEET_WORKER", "nobody")
    with pytest.raises(ValueError, match="there are rebill"):
        handle({"Records": []}, Remaining())
    with pytest.raises(ValueError, match="there are rebill, collect"):
        sweep({"sweep": "floors"}, Remaining())
