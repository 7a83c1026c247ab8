"""Attempts: each try at collecting a bill, with its key and request as they were first saved.

Called by the collect handler and the payment commands. Reads lock what they return, in the order
of the account's id, after the account itself was locked (`accounts.lock_accounts`). It knows
columns; what an answer of a gateway means is decided by its callers.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import date, datetime
from typing import Literal

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

AttemptState = Literal["prepared", "succeeded", "declined", "unknown", "not_sent"]
UNRESOLVED: frozenset[AttemptState] = frozenset({"prepared", "unknown"})


@dataclass(frozen=True, slots=True)
class Attempt:
    """A row of billing.attempts."""

    tenant_id: str
    account_id: str
    period_start: date
    attempt_no: int
    attempt_key: str
    gateway: str
    request_body: str
    amount_minor: int
    currency: str
    state: AttemptState
    gateway_reference: str | None
    decline_code: str | None
    decline_kind: Literal["soft", "hard"] | None
    error: str | None
    leased_until: datetime | None
    lease_token: str | None
    checks_made: int
    next_check_at: datetime | None
    work_id: str
    created_at: datetime
    concluded_at: datetime | None


@dataclass(frozen=True, slots=True)
class NewAttempt:
    """An attempt to save before its call. It begins prepared and leased."""

    account_id: str
    period_start: date
    attempt_no: int
    attempt_key: str
    gateway: str
    request_body: str
    amount_minor: int
    currency: str


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to call the gateway for an attempt until a moment."""

    token: str
    until: datetime


@dataclass(frozen=True, slots=True)
class AttemptChange:
    """What is written to an attempt after its call. The lease ends at `leased_until`."""

    attempt_key: str
    state: AttemptState
    gateway_reference: str | None = None
    decline_code: str | None = None
    decline_kind: Literal["soft", "hard"] | None = None
    error: str | None = None
    checks_made: int = 0
    next_check_at: datetime | None = None
    concluded_at: datetime | None = None
    leased_until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Declines:
    """Declined attempts of an account and currency since some moment."""

    count: int
    oldest_at: datetime


_COLUMNS = ", ".join(f"a.{field.name}" for field in fields(Attempt))

# No join with bills: for a tenant that the planner has no statistics of, it would join all of the
# tenant's bills with all of its attempts.
_OF_ACCOUNTS = text(f"""
    SELECT {_COLUMNS}
    FROM billing.attempts a
    WHERE a.tenant_id = :tenant_id AND a.account_id = ANY(CAST(:account_ids AS text[]))
      AND (a.state IN ('prepared', 'unknown')
           OR (a.account_id, a.period_start) IN (
             SELECT * FROM unnest(CAST(:bill_accounts AS text[]), CAST(:bill_periods AS date[])))
           OR EXISTS (
             SELECT FROM billing.bills b
             WHERE b.tenant_id = a.tenant_id AND b.account_id = a.account_id
               AND b.period_start = a.period_start AND b.state = 'open'))
    ORDER BY a.account_id, a.period_start, a.attempt_no
    FOR NO KEY UPDATE OF a
""")

_BY_KEY = text(f"""
    SELECT {_COLUMNS} FROM billing.attempts a
    WHERE a.tenant_id = :tenant_id AND a.attempt_key = :attempt_key
""")

_OF_ACCOUNT = text(f"""
    SELECT {_COLUMNS} FROM billing.attempts a
    WHERE a.tenant_id = :tenant_id AND a.account_id = :account_id
    ORDER BY a.period_start, a.attempt_no
""")

_FOR_A_HUMAN = text(f"""
    SELECT {_COLUMNS} FROM billing.attempts a
    WHERE a.state = 'unknown' AND (a.next_check_at IS NULL OR :all)
      AND (CAST(:tenant_id AS text) IS NULL OR a.tenant_id = :tenant_id)
    ORDER BY a.created_at, a.tenant_id, a.attempt_key
    LIMIT :limit
""")

# Two halves, because each has an index of its own.
_OF_OTHER_GATEWAYS = text("""
    SELECT gateway, count(*) AS count FROM (
      SELECT gateway FROM billing.attempts WHERE state = 'unknown' AND gateway <> :gateway
      UNION ALL
      SELECT gateway FROM billing.attempts WHERE state = 'prepared' AND gateway <> :gateway) a
    GROUP BY gateway ORDER BY gateway
""")

_DECLINES = text("""
    SELECT account_id, currency, count(*) AS count, min(concluded_at) AS oldest_at
    FROM billing.attempts
    WHERE tenant_id = :tenant_id AND account_id = ANY(CAST(:account_ids AS text[]))
      AND state = 'declined' AND concluded_at > :since
    GROUP BY account_id, currency
""")

_NEW = {
    "account_id": "text",
    "period_start": "date",
    "attempt_no": "integer",
    "attempt_key": "text",
    "gateway": "text",
    "request_body": "text",
    "amount_minor": "bigint",
    "currency": "text",
}
_CHANGED = {
    "attempt_key": "text",
    "state": "text",
    "gateway_reference": "text",
    "decline_code": "text",
    "decline_kind": "text",
    "error": "text",
    "checks_made": "integer",
    "next_check_at": "timestamptz",
    "concluded_at": "timestamptz",
    "leased_until": "timestamptz",
}


def _unnested(columns: Mapping[str, str]) -> str:
    arrays = ", ".join(f"CAST(:{name} AS {kind}[])" for name, kind in columns.items())
    return f"unnest({arrays}) AS n({', '.join(columns)})"


_INSERT = text(f"""
    INSERT INTO billing.attempts (tenant_id, {", ".join(_NEW)}, state, leased_until, lease_token,
                                  work_id, created_at)
    SELECT :tenant_id, {", ".join(_NEW)}, 'prepared', :leased_until, :lease_token, :work_id, :now
    FROM {_unnested(_NEW)}
""")

# An attempt that never left us starts anew; any other keeps the state that says it may have.
_LEASE = text("""
    UPDATE billing.attempts
    SET state = CASE WHEN state = 'not_sent' THEN 'prepared' ELSE state END,
        leased_until = :leased_until, lease_token = :lease_token
    WHERE tenant_id = :tenant_id AND attempt_key = ANY(CAST(:attempt_keys AS text[]))
""")

_RECORD = text(f"""
    UPDATE billing.attempts a
    SET {", ".join(f"{name} = n.{name}" for name in _CHANGED if name != "attempt_key")},
        lease_token = NULL
    FROM {_unnested(_CHANGED)}
    WHERE a.tenant_id = :tenant_id AND a.attempt_key = n.attempt_key
""")

_SEEN = text("""
    INSERT INTO billing.gateway_events (tenant_id, gateway, gateway_event_id, attempt_key, result,
                                        received_at)
    VALUES (:tenant_id, :gateway, :gateway_event_id, :attempt_key, :result, :now)
    ON CONFLICT DO NOTHING
""")


async def lock_of_accounts(
    connection: AsyncConnection,
    tenant_id: str,
    account_ids: Iterable[str],
    bills: Iterable[tuple[str, date]],
) -> list[Attempt]:
    """Lock and read the attempts at open bills and at the named ones, and any unresolved one."""
    named = list(bills)
    values = {
        "tenant_id": tenant_id,
        "account_ids": sorted(set(account_ids)),
        "bill_accounts": [account_id for account_id, _ in named],
        "bill_periods": [period_start for _, period_start in named],
    }
    return [Attempt(*row) for row in await connection.execute(_OF_ACCOUNTS, values)]


async def by_key(connection: AsyncConnection, tenant_id: str, attempt_key: str) -> Attempt | None:
    """Read one attempt without locking it."""
    values = {"tenant_id": tenant_id, "attempt_key": attempt_key}
    row = (await connection.execute(_BY_KEY, values)).one_or_none()
    return None if row is None else Attempt(*row)


async def of_account(connection: AsyncConnection, tenant_id: str, account_id: str) -> list[Attempt]:
    """All attempts of an account, oldest period first."""
    values = {"tenant_id": tenant_id, "account_id": account_id}
    return [Attempt(*row) for row in await connection.execute(_OF_ACCOUNT, values)]


async def unresolved(
    connection: AsyncConnection,
    *,
    tenant_id: str | None = None,
    also_still_checked: bool = False,
    limit: int = 1000,
) -> list[Attempt]:
    """Attempts that nobody asks about any more and a person must look at, oldest first."""
    values = {"tenant_id": tenant_id, "all": also_still_checked, "limit": limit}
    return [Attempt(*row) for row in await connection.execute(_FOR_A_HUMAN, values)]


async def of_other_gateways(connection: AsyncConnection, gateway: str) -> dict[str, int]:
    """How many open attempts were made through which gateway other than this one."""
    rows = await connection.execute(_OF_OTHER_GATEWAYS, {"gateway": gateway})
    return {row.gateway: row[1] for row in rows}


async def declines_since(
    connection: AsyncConnection, tenant_id: str, account_ids: Iterable[str], *, since: datetime
) -> dict[str, dict[str, Declines]]:
    """Declined attempts by account and currency; none is left out."""
    values = {"tenant_id": tenant_id, "account_ids": sorted(set(account_ids)), "since": since}
    rows = await connection.execute(_DECLINES, values)
    found: dict[str, dict[str, Declines]] = {}
    for row in rows:
        found.setdefault(row.account_id, {})[row.currency] = Declines(row[2], row.oldest_at)
    return found


async def prepare(
    connection: AsyncConnection,
    tenant_id: str,
    new: Sequence[NewAttempt],
    *,
    lease: Lease,
    work_id: str,
    now: datetime,
) -> None:
    """Save attempts before their calls. A second unresolved one on an account is refused."""
    rows = [asdict(attempt) for attempt in new]
    columns: dict[str, object] = {name: [row[name] for row in rows] for name in _NEW}
    columns |= {"leased_until": lease.until, "lease_token": lease.token}
    await connection.execute(
        _INSERT, columns | {"tenant_id": tenant_id, "work_id": work_id, "now": now}
    )


async def take_leases(
    connection: AsyncConnection, tenant_id: str, attempt_keys: Iterable[str], *, lease: Lease
) -> None:
    """Lease attempts that exist. The caller has locked them and seen that they are free."""
    values = {"tenant_id": tenant_id, "attempt_keys": sorted(attempt_keys)}
    await connection.execute(
        _LEASE, values | {"leased_until": lease.until, "lease_token": lease.token}
    )


async def record(
    connection: AsyncConnection, tenant_id: str, changes: Sequence[AttemptChange]
) -> None:
    """Write what became of attempts. The caller has locked them."""
    rows = [asdict(change) for change in changes]
    columns: dict[str, object] = {name: [row[name] for row in rows] for name in _CHANGED}
    await connection.execute(_RECORD, columns | {"tenant_id": tenant_id})


async def remember_report(
    connection: AsyncConnection,
    tenant_id: str,
    *,
    gateway: str,
    gateway_event_id: str,
    attempt_key: str,
    result: str,
    now: datetime,
) -> bool:
    """Note that a gateway's event was taken in. False: it was before."""
    values = {
        "tenant_id": tenant_id,
        "gateway": gateway,
        "gateway_event_id": gateway_event_id,
        "attempt_key": attempt_key,
        "result": result,
        "now": now,
    }
    return (await connection.execute(_SEEN, values)).rowcount == 1
