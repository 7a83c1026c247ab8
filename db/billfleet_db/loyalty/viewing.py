"""Transactions as they are looked up elsewhere, each with its card's customer.

Called by the view's worker, for the ids of a message, and by its rebuild, page by page. Rows are
never changed, so whoever reads one later reads the same. It knows no DynamoDB.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection


@dataclass(frozen=True, slots=True)
class ViewedTransaction:
    """What there is to look up of one transaction."""

    tenant_id: str
    transaction_id: str
    card_id: str
    customer_id: str
    programme_id: str
    kind: str
    state: str
    reason: str | None
    cancels: str | None
    is_final: bool | None
    rules_version: int | None
    store_id: str | None
    reward_id: str | None
    amount_minor: int | None
    currency: str | None
    quantity: int | None
    work_id: str
    occurred_at: datetime
    recorded_at: datetime


_COLUMNS = ", ".join(
    f"{'c' if field.name == 'customer_id' else 't'}.{field.name}"
    for field in fields(ViewedTransaction)
)
_JOINED = f"""
    SELECT {_COLUMNS} FROM loyalty.transactions t JOIN loyalty.cards c USING (tenant_id, card_id)
"""
_NAMED = text(f"""
    {_JOINED} WHERE t.tenant_id = :tenant_id AND t.recorded_at > :since
      AND t.transaction_id = ANY(CAST(:transaction_ids AS text[]))
""")
_PAGE = text(f"""
    {_JOINED} WHERE (t.tenant_id, t.transaction_id) > (:after_tenant_id, :after_transaction_id)
      AND (t.tenant_id = :tenant_id OR CAST(:tenant_id AS text) IS NULL)
      AND t.recorded_at > :since
    ORDER BY t.tenant_id, t.transaction_id LIMIT :limit
""")
_KNOWN = text("""
    SELECT t.tenant_id, t.transaction_id FROM loyalty.transactions t
    JOIN unnest(CAST(:tenant_ids AS text[]), CAST(:transaction_ids AS text[]))
      AS n(tenant_id, transaction_id) USING (tenant_id, transaction_id)
    WHERE t.recorded_at > :since
""")
_COUNT = text("""
    SELECT count(*) FROM loyalty.transactions
    WHERE recorded_at > :since AND (tenant_id = :tenant_id OR CAST(:tenant_id AS text) IS NULL)
""")


async def named(
    connection: AsyncConnection,
    tenant_id: str,
    transaction_ids: Iterable[str],
    *,
    since: datetime,
) -> list[ViewedTransaction]:
    """Those of these transactions that were recorded after `since`."""
    values = {
        "tenant_id": tenant_id,
        "transaction_ids": sorted(set(transaction_ids)),
        "since": since,
    }
    found = await connection.execute(_NAMED, values)
    return [ViewedTransaction(*row) for row in found]


async def page(
    connection: AsyncConnection,
    *,
    since: datetime,
    tenant_id: str | None = None,
    after: tuple[str, str] = ("", ""),
    limit: int,
) -> list[ViewedTransaction]:
    """One page in the order of (tenant, id), of one tenant or of all that the session may see."""
    values = {
        "since": since,
        "tenant_id": tenant_id,
        "after_tenant_id": after[0],
        "after_transaction_id": after[1],
        "limit": limit,
    }
    found = await connection.execute(_PAGE, values)
    return [ViewedTransaction(*row) for row in found]


async def known(
    connection: AsyncConnection, keys: Sequence[tuple[str, str]], *, since: datetime
) -> set[tuple[str, str]]:
    """Those of these (tenant, id) that were recorded after `since`."""
    values = {
        "tenant_ids": [tenant_id for tenant_id, _ in keys],
        "transaction_ids": [transaction_id for _, transaction_id in keys],
        "since": since,
    }
    found = await connection.execute(_KNOWN, values)
    return {(str(row[0]), str(row[1])) for row in found}


async def count(
    connection: AsyncConnection, *, since: datetime, tenant_id: str | None = None
) -> int:
    """How many there are to look up."""
    values = {"since": since, "tenant_id": tenant_id}
    return int((await connection.execute(_COUNT, values)).scalar_one())
