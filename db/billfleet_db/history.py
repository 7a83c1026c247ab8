"""Everything recorded about one account, read in one transaction for whoever explains it.

Called by `billfleet accounts show` and `why`. It reads and groups; what the facts mean, and in
which words, is the caller's. Events leave the outbox some time after they were sent.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from billfleet_db import accounts, attempts, bills, customers, ledger, refusals
from billfleet_db.accounts import Account
from billfleet_db.attempts import Attempt
from billfleet_db.bills import Bill
from billfleet_db.customers import Customer
from billfleet_db.ledger import Entry
from billfleet_db.refusals import Refusal

ENTRIES_MAX = 10_000
CANDIDATES_MAX = 20_000


@dataclass(frozen=True, slots=True)
class OutgoingEvent:
    """An event about one period of the account, still in the outbox whether sent or not."""

    period_start: date
    event_id: str
    event_type: str
    created_at: datetime
    sent_at: datetime | None


@dataclass(frozen=True, slots=True)
class History:
    """An account with all that happened to it, oldest first."""

    account: Account
    customer: Customer | None
    owed_minor: Mapping[str, int]
    bills: tuple[Bill, ...] = ()
    entries: tuple[Entry, ...] = ()
    attempts: tuple[Attempt, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    events: tuple[OutgoingEvent, ...] = ()


# The cheap search for the id runs over every row of the outbox; only its hits are parsed.
_EVENTS = text("""
    WITH hits AS MATERIALIZED (
      SELECT outbox_id, event_id, event_type, created_at, sent_at, body FROM fleet.outbox
      WHERE tenant_id = :tenant_id AND strpos(body, '"' || :account_id || '"') > 0
    )
    SELECT CAST(about ->> 'period_start' AS date) AS period_start,
           event_id, event_type, created_at, sent_at
    FROM hits
    CROSS JOIN LATERAL (SELECT CAST(body AS jsonb) -> 'data' AS data) d
    CROSS JOIN LATERAL jsonb_array_elements(
      coalesce(d.data -> 'charges', jsonb_build_array(d.data))) AS about
    WHERE about ->> 'account_id' = :account_id AND about ? 'period_start'
    ORDER BY outbox_id
""")
_CANDIDATES = text("""
    SELECT tenant_id, account_id FROM billing.accounts
    WHERE tenant_id = :tenant_id OR account_id = :account_id
    ORDER BY lower(left(account_id, 2)) = lower(left(:account_id, 2)) DESC, account_id
    LIMIT :limit
""")


async def of_account(
    connection: AsyncConnection, tenant_id: str, account_id: str
) -> History | None:
    """Read the account's history; None when there is no such account."""
    account = await accounts.get(connection, tenant_id, account_id)
    if account is None:
        return None
    values = {"tenant_id": tenant_id, "account_id": account_id}
    known = await customers.get_customers(connection, tenant_id, [account.customer_id])
    return History(
        account=account,
        customer=known.get(account.customer_id),
        owed_minor=await ledger.balance_of(connection, tenant_id, account_id),
        bills=tuple(await bills.of_account(connection, tenant_id, account_id)),
        entries=tuple(
            await ledger.account_entries(connection, tenant_id, account_id, limit=ENTRIES_MAX)
        ),
        attempts=tuple(await attempts.of_account(connection, tenant_id, account_id)),
        refusals=tuple(await refusals.of_account(connection, tenant_id, account_id)),
        events=tuple(
            OutgoingEvent(**row) for row in (await connection.execute(_EVENTS, values)).mappings()
        ),
    )


async def similar_accounts(
    connection: AsyncConnection, tenant_id: str, account_id: str
) -> list[tuple[str, str]]:
    """Return (tenant, account) pairs among which a mistyped account may be found.

    They are the tenant's own accounts, and accounts of that very id elsewhere.
    """
    values = {"tenant_id": tenant_id, "account_id": account_id, "limit": CANDIDATES_MAX}
    found = await connection.execute(_CANDIDATES, values)
    return [(row.tenant_id, row.account_id) for row in found]
