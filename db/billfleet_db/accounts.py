"""Accounts: what is billed, when next, and whether billing it is held.

Called by the rebill and collect handlers, the sweep, and the account commands. Every change is
set-based and every lock is taken in the order of the account's id. It knows columns, not rules:
which date comes next and why an account is parked is decided by its callers.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import date, datetime
from typing import Literal

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

AccountState = Literal["PENDING", "ACTIVE", "PAST_DUE", "INACTIVE"]


@dataclass(frozen=True, slots=True)
class Account:
    """A row of billing.accounts."""

    tenant_id: str
    account_id: str
    customer_id: str
    plan_id: str | None
    amount_minor: int
    currency: str
    interval_months: int
    commitment_months: int
    anchor_day: int
    time_zone: str
    rebilling_date: date
    state: AccountState
    generation: int
    parked_at: datetime | None
    parked_reason: str | None
    past_due_since: datetime | None
    payment_method: str | None
    payment_method_version: int


@dataclass(frozen=True, slots=True)
class NewAccount:
    """An account as an import or a front end brings it."""

    account_id: str
    customer_id: str
    amount_minor: int
    currency: str
    anchor_day: int
    time_zone: str
    rebilling_date: date
    plan_id: str | None = None
    interval_months: int = 1
    commitment_months: int = 1
    payment_method: str | None = None


@dataclass(frozen=True, slots=True)
class DueAccount:
    """What the sweep needs to know of an account that may be due."""

    tenant_id: str
    account_id: str
    rebilling_date: date
    anchor_day: int
    interval_months: int
    time_zone: str
    generation: int
    charged: int
    """Charges since the moment that the caller gave."""


_COLUMNS = ", ".join(field.name for field in fields(Account))

_LOCK = text(f"""
    SELECT {_COLUMNS} FROM billing.accounts
    WHERE tenant_id = :tenant_id AND account_id = ANY(CAST(:account_ids AS text[]))
    ORDER BY account_id
    FOR NO KEY UPDATE
""")

_GET = text(f"""
    SELECT {_COLUMNS} FROM billing.accounts
    WHERE tenant_id = :tenant_id AND account_id = :account_id
""")

# Ordered by the primary key and not by date: an account that is billed while the sweep walks moves
# to a later date, and a walk by date would meet it a second time.
# Charges are counted for the page alone: beside the walk they would be counted for all that is due.
_DUE = """
    SELECT a.tenant_id, a.account_id, a.rebilling_date, a.anchor_day, a.interval_months,
           a.time_zone, a.generation, b.charged
    FROM (
      SELECT * FROM billing.accounts a
      WHERE a.rebilling_date <= :until AND a.parked_at IS NULL AND a.state <> 'INACTIVE'
        {narrowed}
      ORDER BY a.tenant_id, a.account_id
      LIMIT :limit
    ) a
    CROSS JOIN LATERAL (
      SELECT count(*) AS charged FROM billing.bills b
      WHERE b.tenant_id = a.tenant_id AND b.account_id = a.account_id
        AND b.created_at >= :charged_since
    ) b
    ORDER BY a.tenant_id, a.account_id
"""
_DUE_OF_TENANT = text(
    _DUE.format(narrowed="AND a.tenant_id = :tenant_id AND a.account_id > :after_account_id")
)
_DUE_OF_ALL = text(
    _DUE.format(narrowed="AND (a.tenant_id, a.account_id) > (:after_tenant_id, :after_account_id)")
)

_CHARGES_SINCE = text("""
    SELECT account_id, count(*) AS charged FROM billing.bills
    WHERE tenant_id = :tenant_id AND account_id = ANY(CAST(:account_ids AS text[]))
      AND created_at >= :since
    GROUP BY account_id
""")

_ADVANCE = text("""
    UPDATE billing.accounts a SET rebilling_date = n.rebilling_date, updated_at = :now
    FROM unnest(CAST(:account_ids AS text[]), CAST(:rebilling_dates AS date[]))
      AS n(account_id, rebilling_date)
    WHERE a.tenant_id = :tenant_id AND a.account_id = n.account_id
""")

_PARK = text("""
    UPDATE billing.accounts a SET parked_at = :now, parked_reason = n.reason, updated_at = :now
    FROM unnest(CAST(:account_ids AS text[]), CAST(:reasons AS text[])) AS n(account_id, reason)
    WHERE a.tenant_id = :tenant_id AND a.account_id = n.account_id AND a.parked_at IS NULL
""")

# A new generation makes the next sweep's message differ from the one that was answered with
# "parked", so the dedupe store lets it through.
_UNPARK = text("""
    UPDATE billing.accounts
    SET parked_at = NULL, parked_reason = NULL, generation = generation + 1, updated_at = :now
    WHERE tenant_id = :tenant_id AND account_id = :account_id AND parked_at IS NOT NULL
""")

_KINDS = {
    "amount_minor": "bigint",
    "interval_months": "integer",
    "commitment_months": "integer",
    "anchor_day": "smallint",
    "rebilling_date": "date",
}
_NEW = [field.name for field in fields(NewAccount)]
_INSERT = text(f"""
    INSERT INTO billing.accounts (tenant_id, {", ".join(_NEW)}, created_at, updated_at)
    SELECT :tenant_id, {", ".join(_NEW)}, :now, :now
    FROM unnest({", ".join(f"CAST(:{name} AS {_KINDS.get(name, 'text')}[])" for name in _NEW)})
      AS n({", ".join(_NEW)})
    ON CONFLICT DO NOTHING
    RETURNING account_id
""")


async def lock_accounts(
    connection: AsyncConnection, tenant_id: str, account_ids: Iterable[str]
) -> dict[str, Account]:
    """Lock the accounts in the order of their ids and read them; unknown ids are left out."""
    rows = await connection.execute(
        _LOCK, {"tenant_id": tenant_id, "account_ids": sorted(set(account_ids))}
    )
    return {row["account_id"]: Account(**row) for row in rows.mappings()}


async def get(connection: AsyncConnection, tenant_id: str, account_id: str) -> Account | None:
    """Read one account without locking it."""
    rows = await connection.execute(_GET, {"tenant_id": tenant_id, "account_id": account_id})
    row = rows.mappings().one_or_none()
    return None if row is None else Account(**row)


async def due_accounts(
    connection: AsyncConnection,
    *,
    until: date,
    charged_since: datetime,
    after: tuple[str, str] = ("", ""),
    tenant_id: str | None = None,
    limit: int = 1000,
) -> list[DueAccount]:
    """One page of accounts to be billed by `until`, in the order of (tenant, account)."""
    values: dict[str, object] = {"until": until, "charged_since": charged_since, "limit": limit}
    values["after_account_id"] = after[1]
    if tenant_id is None:
        rows = await connection.execute(_DUE_OF_ALL, values | {"after_tenant_id": after[0]})
    else:
        rows = await connection.execute(_DUE_OF_TENANT, values | {"tenant_id": tenant_id})
    return [DueAccount(**row) for row in rows.mappings()]


async def charges_today(
    connection: AsyncConnection, tenant_id: str, account_ids: Iterable[str], *, since: datetime
) -> dict[str, int]:
    """How many periods of each account were billed since the day began; none is left out as 0."""
    rows = await connection.execute(
        _CHARGES_SINCE,
        {"tenant_id": tenant_id, "account_ids": sorted(set(account_ids)), "since": since},
    )
    return {row.account_id: row.charged for row in rows}


async def advance(
    connection: AsyncConnection,
    tenant_id: str,
    rebilling_dates: Mapping[str, date],
    *,
    now: datetime,
) -> None:
    """Set the next rebilling date of each account. The caller holds their locks."""
    values = {
        "tenant_id": tenant_id,
        "account_ids": list(rebilling_dates),
        "rebilling_dates": list(rebilling_dates.values()),
        "now": now,
    }
    await connection.execute(_ADVANCE, values)


async def park(
    connection: AsyncConnection, tenant_id: str, reasons: Mapping[str, str], *, now: datetime
) -> None:
    """Hold billing of each account until somebody unparks it; a parked one keeps its reason."""
    values = {
        "tenant_id": tenant_id,
        "account_ids": list(reasons),
        "reasons": list(reasons.values()),
        "now": now,
    }
    await connection.execute(_PARK, values)


async def unpark(
    connection: AsyncConnection, tenant_id: str, account_id: str, *, now: datetime
) -> bool:
    """Let billing go on. False: there is no such account, or it is not parked."""
    values = {"tenant_id": tenant_id, "account_id": account_id, "now": now}
    return (await connection.execute(_UNPARK, values)).rowcount == 1


async def insert(
    connection: AsyncConnection, tenant_id: str, accounts: Sequence[NewAccount], *, now: datetime
) -> frozenset[str]:
    """Create the accounts that are not there yet and return their ids; others stay untouched."""
    # Sorted, so that two callers with the same accounts meet in one order.
    new = [asdict(account) for account in sorted(accounts, key=lambda new: new.account_id)]
    columns = {name: [row[name] for row in new] for name in _NEW}
    rows = await connection.execute(_INSERT, columns | {"tenant_id": tenant_id, "now": now})
    return frozenset(row.account_id for row in rows)
