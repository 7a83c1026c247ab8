"""After a restore, work that is recorded as done and whose effect is gone can be done again."""

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from billfleet_db import Database
from billfleet_ops.cli import run
from billfleet_ops.exits import Exit
from billfleet_workers.adapters.aws_client import AwsClients
from billfleet_workers.adapters.dynamodb import DynamoDedupeStore
from billfleet_workers.runtime.clock import ManualClock
from billfleet_workers.runtime.ports.dedupe import ClaimRequest, Completion
from rebill_world import account, handle, seed

RESTORED = datetime.now(UTC).replace(microsecond=0) + timedelta(days=-1)
MOMENT = f"{RESTORED:%Y-%m-%dT%H:%M:%S}"


async def done(stack: str, key: str, at: datetime) -> None:
    clients = AwsClients(region="us-east-1", endpoint_url=None)
    store = await DynamoDedupeStore.open(clients, stack=stack, clock=ManualClock(at))
    await store.claim([ClaimRequest(key, "hash", "token", 60)])
    await store.complete([Completion(key, "token", 14 * 86_400, "done")])
    await store.close()


async def test_records_after_the_moment_are_named_and_forgotten_and_older_ones_stay(
    aws_environment: dict[str, str],
    deployed_stack: str,
    database: Database,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    del aws_environment
    for name, value in {
        "BILLFLEET_STACK": deployed_stack,
        "BILLFLEET_HOME": str(tmp_path),
        "DATABASE_URL": database_url,
    }.items():
        monkeypatch.setenv(name, value)
    await seed(database, account("a1"))
    await done(deployed_stack, "acme#rebill#old", RESTORED - timedelta(hours=1))
    await done(deployed_stack, "acme#rebill#lost", RESTORED + timedelta(hours=1))
    await done(deployed_stack, "acme#collect#lost", RESTORED + timedelta(hours=2))

    assert await command("--json") == Exit.FAILED
    found = {one["check"]: one for one in json.loads(capsys.readouterr().out)}
    assert "2 records" in found["dedupe"]["what"]
    assert "1 of collect, 1 of rebill" in found["dedupe"]["what"]

    assert await command("--forget") == Exit.FAILED
    assert "would be forgotten" in capsys.readouterr().err
    assert await command("--forget", "--yes") == Exit.OK
    assert "2 records were forgotten" in capsys.readouterr().err
    assert await command("--json") == Exit.OK


async def test_a_database_that_is_not_at_the_moment_is_said(
    aws_environment: dict[str, str],
    deployed_stack: str,
    database: Database,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    del aws_environment
    monkeypatch.setenv("BILLFLEET_STACK", deployed_stack)
    monkeypatch.setenv("BILLFLEET_HOME", str(tmp_path))
    monkeypatch.setenv("DATABASE_URL", database_url)
    await seed(database, account("a1"))
    await handle(database, ("a1", datetime(2026, 3, 1, tzinfo=UTC).date()))
    assert await command() == Exit.FAILED
    assert "after the moment given" in capsys.readouterr().out


async def command(*arguments: str) -> int:

    return await asyncio.to_thread(run, ["reconcile", "--restored-to", MOMENT, *arguments])
