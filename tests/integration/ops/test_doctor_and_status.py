"""`doctor` finds what is wrong and says what to do; `status` counts without receiving."""

import asyncio
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest

from billfleet_contracts import QUEUES
from billfleet_ops.aws_checks import check_aws
from billfleet_ops.cli import run
from billfleet_ops.clients import Clients
from billfleet_ops.database_checks import check_database
from billfleet_ops.exits import Exit
from billfleet_ops.finding import Finding
from billfleet_ops.queues import figures
from billfleet_ops.runbooks import Runbook


def _now() -> datetime:
    return datetime.now(UTC)


def _wrong(findings: list[Finding]) -> dict[str, str]:
    return {finding.check: finding.what for finding in findings if finding.level == "error"}


@pytest.fixture
def fleet_environment(
    deployed_stack: str,
    database_url: str,
    aws_environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: object,
) -> str:
    """The environment of an installation in which all is well; the name of its stack."""
    monkeypatch.setenv("BILLFLEET_HOME", str(tmp_path))
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("BILLFLEET_STACK", deployed_stack)
    return deployed_stack


def test_doctor_finds_nothing_wrong_with_a_good_installation(
    fleet_environment: str, capsys: pytest.CaptureFixture[str]
) -> None:
    code = run(["doctor", "--json"])
    findings = json.loads(capsys.readouterr().out)
    assert [finding for finding in findings if finding["level"] != "ok"] == []
    assert code == Exit.OK
    checked = {finding["check"] for finding in findings}
    assert {"settings", "database", "schema", "role", "ledger triggers", "AWS"} <= checked
    assert {f"{fleet_environment}-rebill-dlq", f"{fleet_environment}-dedupe"} <= checked


def test_doctor_says_what_is_missing_and_ends_with_1(
    fleet_environment: str, aws: Clients, capsys: pytest.CaptureFixture[str]
) -> None:
    name = f"{fleet_environment}-collect"
    aws.sqs.delete_queue(QueueUrl=aws.sqs.get_queue_url(QueueName=name)["QueueUrl"])
    assert run(["doctor"]) == Exit.FAILED
    shown = capsys.readouterr().out
    assert f"{name} does not exist" in shown
    assert "Deploy ops/aws/messaging.yaml" in shown


def test_doctor_does_not_accept_a_superuser_as_the_workers_role(superuser_url: str) -> None:
    assert "superuser" in _wrong(asyncio.run(check_database(superuser_url)))["role"]


def test_doctor_notices_a_trigger_that_somebody_switched_off(
    superuser_url: str, database_url: str
) -> None:
    from sqlalchemy import text

    from billfleet_db import Database

    async def tamper() -> None:
        database = Database.connect(superuser_url, pool_size=1)
        async with database.transaction() as connection:
            statement = "ALTER TABLE billing.transfers DISABLE TRIGGER transfers_append_only"
            await connection.execute(text(statement))
        await database.close()

    asyncio.run(tamper())
    found = _wrong(asyncio.run(check_database(database_url)))
    assert "transfers.transfers_append_only" in found["ledger triggers"]


def test_doctor_notices_a_database_that_was_never_migrated(
    postgres_cluster: object, empty_database_name: str
) -> None:
    url = postgres_cluster.app_url(empty_database_name)  # type: ignore[attr-defined]
    found = asyncio.run(check_database(url))
    assert "schema" in _wrong(found)
    assert "billfleet migrate" in next(f for f in found if f.check == "schema").remedy


def test_doctor_notices_that_the_clock_is_off(aws: Clients, deployed_stack: str) -> None:
    off = check_aws(aws, deployed_stack, lambda: _now() + timedelta(seconds=600))
    assert "clock" in _wrong(off)


def test_doctor_warns_of_dead_letters(aws: Clients, deployed_stack: str) -> None:
    name = f"{deployed_stack}-rebill-dlq"
    url = aws.sqs.get_queue_url(QueueName=name)["QueueUrl"]
    aws.sqs.send_message(QueueUrl=url, MessageBody="{}")
    found = check_aws(aws, deployed_stack, _now)
    assert _wrong(found) == {}
    warnings = [finding for finding in found if finding.level == "warning"]
    assert [(finding.check, finding.what) for finding in warnings] == [
        (name, "1 dead letters rest here")
    ]


def test_doctor_names_the_page_for_work_that_waits_for_a_person(
    fleet_environment: str, superuser_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    from sqlalchemy import text

    from billfleet_db import Database

    async def leave_an_old_event() -> None:
        database = Database.connect(superuser_url, pool_size=1)
        statement = (
            "INSERT INTO fleet.outbox (tenant_id, event_id, event_type, route_kind, route_name, "
            "dedupe_key, body, created_at) "
            "VALUES ('acme', 'e1', 't', 'topic', 'events', 'k', '{}', now() - interval '1 hour')"
        )
        async with database.transaction() as connection:
            await connection.execute(text(statement))
        await database.close()

    asyncio.run(leave_an_old_event())
    assert run(["doctor"]) == Exit.OK
    shown = capsys.readouterr().out
    assert "1 events wait to be sent, the oldest for 1.0 h" in shown
    assert Runbook.OUTBOX_GROWING in shown
    assert "Nothing is wrong; 1 of" in shown


@pytest.mark.parametrize("sweep", ["rebill", "collect"])
def test_a_sweep_of_an_unknown_tenant_is_a_usage_error(
    sweep: str, fleet_environment: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["sweep", sweep, "--tenant", "nobody"]) == Exit.USAGE
    assert "There is no tenant 'nobody'" in capsys.readouterr().err


def test_counting_does_not_receive(aws: Clients, stack_name: str, queues: dict[str, str]) -> None:
    for body in ("one", "two"):
        aws.sqs.send_message(QueueUrl=queues["rebill"], MessageBody=body)
    aws.sqs.send_message(QueueUrl=queues["rebill"], MessageBody="later", DelaySeconds=60)
    seen = {queue.name: queue for queue in figures(aws, stack_name, _now())}
    rebill = seen[f"{stack_name}-rebill"]
    assert (rebill.waiting, rebill.in_flight, rebill.delayed) == (2, 0, 1)
    received = aws.sqs.receive_message(
        QueueUrl=queues["rebill"], MessageSystemAttributeNames=["ApproximateReceiveCount"]
    )
    assert received["Messages"][0]["Attributes"]["ApproximateReceiveCount"] == "1"


def test_status_shows_queues_and_backlog_to_people_and_programs(
    fleet_environment: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["status", "--json"]) == Exit.OK
    seen = json.loads(capsys.readouterr().out)
    assert seen["stack"] == fleet_environment
    assert seen["backlog"]["outbox_unsent"] == 0
    assert len(seen["queues"]) == 2 * len(QUEUES)
    assert run(["status"]) == Exit.OK
    assert f"{fleet_environment}-collect-dlq" in capsys.readouterr().out


def test_status_shows_the_half_that_answers(
    fleet_environment: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    closed_port: Callable[[], int],
) -> None:
    monkeypatch.setenv("DATABASE_URL", f"postgresql://app:s3cret@127.0.0.1:{closed_port()}/x")
    assert run(["status"]) == Exit.UNREACHABLE
    shown = capsys.readouterr()
    assert f"{fleet_environment}-rebill" in shown.out
    assert "to do:" in shown.err
    assert "s3cret" not in shown.out + shown.err


def test_migrate_says_what_is_pending_and_then_applies_it(
    postgres_cluster: object,
    empty_database_name: str,
    fleet_environment: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    url = postgres_cluster.superuser_url(empty_database_name)  # type: ignore[attr-defined]
    monkeypatch.setenv("MIGRATION_DATABASE_URL", url)
    assert run(["migrate", "--check"]) == Exit.FAILED
    assert run(["migrate"]) == Exit.OK
    assert run(["migrate", "--check"]) == Exit.OK
    assert "nothing is pending" in capsys.readouterr().out
