"""What collecting changes on bills and accounts: how far a bill has come, and who is past due.

Called by the collect handler and by whoever changes a payment method. Callers lock accounts
first, then bills. It knows columns and not the rules of dunning: states and dates are given to it.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from datetime import date, datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from billfleet_db.accounts import AccountState, lock_accounts
from billfleet_db.bills import Bill, BillState


@dataclass(frozen=True, slots=True)
class BillChange:
    """How far collecting a bill has come."""

    account_id: str
    period_start: date
    state: BillState
    attempts_made: int
    next_attempt_at: datetime | None
    first_failed_at: datetime | None
    collection_note: str | None
    paid_at: datetime | None


@dataclass(frozen=True, slots=True)
class Standing:
    """An account's state, and since when it has owed."""

    account_id: str
    state: AccountState
    past_due_since: datetime | None


@dataclass(frozen=True, slots=True)
class Retry:
    """The one attempt that a new payment method gives an old bill."""

    account_id: str
    period_start: date
    attempt_no: int


@dataclass(frozen=True, slots=True)
class LastTransfer:
    """The newest ledger row about a payment; an odd number of reversals means it is undone."""

    transfer_id: int
    reversals: int


_COLUMNS = ", ".join(field.name for field in fields(Bill))

_LOCK = text(f"""
    SELECT {_COLUMNS} FROM billing.bills
    WHERE tenant_id = :tenant_id AND account_id = ANY(CAST(:account_ids AS text[]))
      AND (state = 'open' OR (account_id, period_start) IN (
             SELECT * FROM unnest(CAST(:bill_accounts AS text[]), CAST(:bill_periods AS date[]))))
    ORDER BY account_id, period_start
    FOR NO KEY UPDATE
""")

_CHANGE = text("""
    UPDATE billing.bills b
    SET state = n.state, attempts_made = n.attempts_made, next_attempt_at = n.next_attempt_at,
        first_failed_at = n.first_failed_at, collection_note = n.collection_note,
        paid_at = n.paid_at
    FROM unnest(CAST(:account_id AS text[]), CAST(:period_start AS date[]),
                CAST(:state AS text[]), CAST(:attempts_made AS integer[]),
                CAST(:next_attempt_at AS timestamptz[]), CAST(:first_failed_at AS timestamptz[]),
                CAST(:collection_note AS text[]), CAST(:paid_at AS timestamptz[]))
      AS n(account_id, period_start, state, attempts_made, next_attempt_at, first_failed_at,
           collection_note, paid_at)
    WHERE b.tenant_id = :tenant_id AND b.account_id = n.account_id
      AND b.period_start = n.period_start
""")

_STANDING = text("""
    UPDATE billing.accounts a
    SET state = n.state, past_due_since = n.past_due_since, updated_at = :now
    FROM unnest(CAST(:account_id AS text[]), CAST(:state AS text[]),
                CAST(:past_due_since AS timestamptz[])) AS n(account_id, state, past_due_since)
    WHERE a.tenant_id = :tenant_id AND a.account_id = n.account_id
      AND (a.state, a.past_due_since) IS DISTINCT FROM (n.state, n.past_due_since)
""")

# From an attempt's payment along its reversals, each of which undoes the row before it.
_LAST_TRANSFERS = text("""
    WITH RECURSIVE chain AS (
      SELECT k.attempt_key, t.transfer_id, 0 AS reversals
      FROM unnest(CAST(:attempt_keys AS text[])) AS k(attempt_key)
      JOIN billing.transfers t
        ON t.tenant_id = :tenant_id AND t.transfer_key = 'payment:' || k.attempt_key
      UNION ALL
      SELECT c.attempt_key, t.transfer_id, c.reversals + 1
      FROM chain c JOIN billing.transfers t ON t.reverses = c.transfer_id)
    SELECT DISTINCT ON (attempt_key) attempt_key, transfer_id, reversals
    FROM chain ORDER BY attempt_key, reversals DESC
""")

_CHANGE_METHOD = text("""
    UPDATE billing.accounts
    SET payment_method = :payment_method, payment_method_version = payment_method_version + 1,
        updated_at = :now
    WHERE tenant_id = :tenant_id AND account_id = :account_id
      AND payment_method IS DISTINCT FROM :payment_method
""")

# The oldest bill that waits is tried at once. The others wait for its end, because a method that is
# refused once would be refused for each of them; what is due later anyway keeps its day.
_REVIVE = text("""
    WITH waiting AS (
      SELECT account_id, period_start,
             row_number() OVER (PARTITION BY account_id ORDER BY period_start) = 1 AS is_oldest,
             bool_or(first_failed_at IS NOT NULL) OVER (PARTITION BY account_id) AS has_failed
      FROM billing.bills
      WHERE tenant_id = :tenant_id AND account_id = ANY(CAST(:account_ids AS text[]))
        AND state = 'open' AND (first_failed_at IS NOT NULL OR collection_note IS NOT NULL))
    UPDATE billing.bills b
    SET next_attempt_at = CASE WHEN w.is_oldest THEN CAST(:now AS timestamptz)
          ELSE greatest(b.next_attempt_at, CAST(:now AS timestamptz) + interval '1 hour') END,
        collection_note = CASE WHEN w.has_failed AND NOT w.is_oldest THEN 'postponed' END
    FROM waiting w
    WHERE b.tenant_id = :tenant_id AND b.account_id = w.account_id
      AND b.period_start = w.period_start
    RETURNING b.account_id, b.period_start, b.attempts_made + 1 AS attempt_no, w.is_oldest
""")

# No declines: those wait for another payment method, however often somebody asks.
_HELD = """
    FROM billing.bills
    WHERE tenant_id = :tenant_id AND state = 'open' AND next_attempt_at IS NULL
      AND (CAST(:account_id AS text) IS NULL OR account_id = :account_id)
      AND coalesce(collection_note, '') <> ALL (ARRAY['hard_decline', 'exhausted'])
"""
_LIST_HELD = text(f"SELECT {_COLUMNS} {_HELD} ORDER BY account_id, period_start")
_LET_GO = text(f"""
    UPDATE billing.bills b SET next_attempt_at = :now, collection_note = NULL
    WHERE (tenant_id, account_id, period_start) IN (
      SELECT tenant_id, account_id, period_start {_HELD} ORDER BY account_id, period_start
      FOR NO KEY UPDATE)
""")

_HAS_UNRESOLVED = text("""
    SELECT EXISTS (
      SELECT FROM billing.attempts
      WHERE tenant_id = :tenant_id AND account_id = :account_id
        AND state IN ('prepared', 'unknown'))
""")


async def lock_bills(
    connection: AsyncConnection,
    tenant_id: str,
    account_ids: Iterable[str],
    bills: Iterable[tuple[str, date]],
) -> list[Bill]:
    """Lock and read every open bill of the accounts, and the named ones whatever their state."""
    named = list(bills)
    values = {
        "tenant_id": tenant_id,
        "account_ids": sorted(set(account_ids)),
        "bill_accounts": [account_id for account_id, _ in named],
        "bill_periods": [period_start for _, period_start in named],
    }
    return [Bill(*row) for row in await connection.execute(_LOCK, values)]


async def change_bills(
    connection: AsyncConnection, tenant_id: str, changes: Sequence[BillChange]
) -> None:
    """Write how far bills have come. The caller has locked them."""
    await connection.execute(_CHANGE, _columns(BillChange, changes) | {"tenant_id": tenant_id})


async def set_standings(
    connection: AsyncConnection, tenant_id: str, standings: Sequence[Standing], *, now: datetime
) -> None:
    """Write the accounts' states; the database refuses an illegal transition."""
    columns = _columns(Standing, standings)
    await connection.execute(_STANDING, columns | {"tenant_id": tenant_id, "now": now})


async def last_transfers(
    connection: AsyncConnection, tenant_id: str, attempt_keys: Iterable[str]
) -> dict[str, LastTransfer]:
    """The newest ledger row about each attempt's payment; attempts without one are left out."""
    values = {"tenant_id": tenant_id, "attempt_keys": sorted(attempt_keys)}
    rows = await connection.execute(_LAST_TRANSFERS, values)
    return {row.attempt_key: LastTransfer(row.transfer_id, row.reversals) for row in rows}


async def change_payment_method(
    connection: AsyncConnection,
    tenant_id: str,
    account_id: str,
    payment_method: str,
    *,
    now: datetime,
) -> Retry | None:
    """Set how the account pays, and allow one immediate retry of its oldest unpaid failed bill.

    Newer bills that were stopped with it wait for that retry. None where nothing is to be tried:
    nothing failed, the method is the same, or an attempt's outcome is unknown. The caller enqueues
    the retry; a lost message is made good by the sweep, because the bill is due from now on.
    """
    await lock_accounts(connection, tenant_id, [account_id])
    values = {"tenant_id": tenant_id, "account_id": account_id}
    changed = await connection.execute(
        _CHANGE_METHOD, values | {"payment_method": payment_method, "now": now}
    )
    if changed.rowcount == 0:
        return None
    retries = await revive(connection, tenant_id, [account_id], now=now)
    if (await connection.execute(_HAS_UNRESOLVED, values)).scalar_one():
        return None
    return retries[0] if retries else None


async def revive(
    connection: AsyncConnection, tenant_id: str, account_ids: Iterable[str], *, now: datetime
) -> list[Retry]:
    """Let bills that failed or were stopped be tried with a new payment method.

    The caller has locked the accounts and changed their methods. Returns the one retry of each.
    """
    values = {"tenant_id": tenant_id, "account_ids": sorted(account_ids), "now": now}
    rows = await connection.execute(_REVIVE, values)
    return [
        Retry(row.account_id, row.period_start, row.attempt_no) for row in rows if row.is_oldest
    ]


async def held_bills(
    connection: AsyncConnection, tenant_id: str, account_id: str | None = None
) -> list[Bill]:
    """Open bills that nothing will be tried at by itself, for another reason than a decline."""
    values = {"tenant_id": tenant_id, "account_id": account_id}
    return [Bill(*row) for row in await connection.execute(_LIST_HELD, values)]


async def let_go(
    connection: AsyncConnection, tenant_id: str, account_id: str | None = None, *, now: datetime
) -> None:
    """Let the held bills be tried again, because what they were held for was put right."""
    held = await held_bills(connection, tenant_id, account_id)
    await lock_accounts(connection, tenant_id, [bill.account_id for bill in held])
    values = {"tenant_id": tenant_id, "account_id": account_id, "now": now}
    await connection.execute(_LET_GO, values)


def _columns(
    kind: type[BillChange | Standing], rows: Sequence[BillChange | Standing]
) -> dict[str, object]:
    values = [asdict(row) for row in rows]
    return {field.name: [value[field.name] for value in values] for field in fields(kind)}
