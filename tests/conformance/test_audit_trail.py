"""The exam of the audit trail, in memory and on DynamoDB through both clients."""

from datetime import UTC, datetime, timedelta

import pytest

from billfleet_workers.adapters.aws_client import AwsClients
from billfleet_workers.adapters.dynamodb_audit import DynamoAuditTrail
from billfleet_workers.runtime.clock import ManualClock
from billfleet_workers.runtime.errors import Misconfigured
from billfleet_workers.runtime.ports.audit import AuditEntry, AuditTrail

NOW = datetime.now(UTC)


def an_entry(number: int = 1, *, tenant: str = "acme", lives_days: int = 90) -> AuditEntry:
    return AuditEntry(
        tenant=tenant,
        at=NOW - timedelta(hours=number),
        event="loyalty_refused",
        subject="card",
        reason="unknown_reward",
        reference=f"t{number}",
        work_id="m",
        expires_at=NOW.replace(microsecond=0) + timedelta(days=lives_days),
    )


async def test_entries_come_back_newest_first_once_each_of_one_tenant(trail: AuditTrail) -> None:
    """R70."""
    entries = [an_entry(number) for number in range(1, 40)]
    for _ in range(2):
        await trail.put([*entries, an_entry(1, tenant="other")])
    assert await trail.latest("acme", since=NOW - timedelta(days=9), limit=100) == entries
    assert await trail.latest("acme", since=NOW - timedelta(hours=3), limit=2) == entries[:2]


async def test_what_has_expired_is_not_shown_whether_or_not_it_was_deleted(
    trail: AuditTrail,
) -> None:
    """R45: TTL is no timer."""
    await trail.put([an_entry(1, lives_days=-1), an_entry(2)])
    found = await trail.latest("acme", since=NOW - timedelta(days=9), limit=10)
    assert [entry.reference for entry in found] == ["t2"]


async def test_a_missing_audit_table_is_named(aws_clients: AwsClients) -> None:
    trail = await DynamoAuditTrail.open(aws_clients, stack="nowhere", clock=ManualClock(NOW))
    with pytest.raises(Misconfigured, match="nowhere-audit"):
        await trail.put([an_entry()])
    await trail.close()
