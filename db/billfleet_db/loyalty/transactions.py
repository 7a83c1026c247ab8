"""Transactions of loyalty cards: what was asked for, once each, and what cancelled it.

Called by the loyalty worker with the card locked. A transaction's id is its sender's; the primary
key is what turns a second one away. It knows no rule.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

TransactionKind = Literal["points", "stamps", "redemption", "cancel", "expiry"]


@dataclass(frozen=True, slots=True)
class NewTransaction:
    """A transaction to write down. `reason` makes it a refused one."""

    transaction_id: str
    card_id: str
    programme_id: str
    kind: TransactionKind
    request_hash: str
    work_id: str
    occurred_at: datetime
    reason: str | None = None
    cancels: str | None = None
    cancel_no: int | None = None
    is_final: bool | None = None
    rules_version: int | None = None
    store_id: str | None = None
    reward_id: str | None = None
    amount_minor: int | None = None
    currency: str | None = None
    quantity: int | None = None
    basis: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Transaction:
    """A recorded transaction."""

    transaction_id: str
    card_id: str
    programme_id: str
    kind: TransactionKind
    state: Literal["done", "refused"]
    reason: str | None
    cancels: str | None
    is_final: bool | None
    rules_version: int | None
    store_id: str | None
    reward_id: str | None
    amount_minor: int | None
    currency: str | None
    quantity: int | None
    basis: Mapping[str, object]
    request_hash: str
    work_id: str
    occurred_at: datetime
    recorded_at: datetime


@dataclass(frozen=True, slots=True)
class Cancelled:
    """What cancellations of one transaction have taken back so far."""

    count: int
    quantity: int
    is_final: bool


_COLUMNS = """transaction_id, card_id, programme_id, kind, state, reason, cancels, is_final,
    rules_version, store_id, reward_id, amount_minor, currency, quantity,
    CAST(basis AS text) AS basis, request_hash, work_id, occurred_at, recorded_at"""
_GET = text(f"""
    SELECT {_COLUMNS} FROM loyalty.transactions
    WHERE tenant_id = :tenant_id AND transaction_id = :transaction_id
""")
_NAMED = text(f"""
    SELECT {_COLUMNS} FROM loyalty.transactions
    WHERE tenant_id = :tenant_id AND transaction_id = ANY(CAST(:transaction_ids AS text[]))
""")
_OF_CARD = text(f"""
    SELECT {_COLUMNS} FROM loyalty.transactions
    WHERE tenant_id = :tenant_id AND card_id = :card_id
    ORDER BY recorded_at DESC, transaction_id LIMIT :limit
""")
_CANCELS_OF = text("""
    SELECT cancels, count(*) AS count, CAST(coalesce(sum(quantity), 0) AS bigint) AS quantity,
           coalesce(bool_or(is_final), false) AS is_final
    FROM loyalty.transactions
    WHERE tenant_id = :tenant_id AND cancels = ANY(CAST(:transaction_ids AS text[]))
    GROUP BY cancels
""")
_REDEEMED = text("""
    SELECT count(*) FROM loyalty.transactions r
    WHERE r.tenant_id = :tenant_id AND r.card_id = :card_id AND r.kind = 'redemption'
      AND r.state = 'done' AND r.reward_id = :reward_id
      AND NOT EXISTS (SELECT FROM loyalty.transactions c WHERE c.tenant_id = r.tenant_id
                      AND c.cancels = r.transaction_id AND c.is_final)
""")
_ADDED = {
    "transaction_id": "text",
    "card_id": "text",
    "programme_id": "text",
    "kind": "text",
    "state": "text",
    "reason": "text",
    "cancels": "text",
    "cancel_no": "integer",
    "is_final": "boolean",
    "rules_version": "integer",
    "store_id": "text",
    "reward_id": "text",
    "amount_minor": "bigint",
    "currency": "text",
    "quantity": "bigint",
    "basis": "jsonb",
    "request_hash": "text",
    "work_id": "text",
    "occurred_at": "timestamptz",
}
_INSERT = text(f"""
    INSERT INTO loyalty.transactions (tenant_id, recorded_at, {", ".join(_ADDED)})
    SELECT :tenant_id, :now, n.* FROM unnest(
      {", ".join(f"CAST(:{name} AS {kind}[])" for name, kind in _ADDED.items())}) AS n
""")


async def get(
    connection: AsyncConnection, tenant_id: str, transaction_id: str
) -> Transaction | None:
    """Read one transaction of the tenant, whatever its card."""
    values = {"tenant_id": tenant_id, "transaction_id": transaction_id}
    row = (await connection.execute(_GET, values)).mappings().one_or_none()
    return None if row is None else _transaction(dict(row))


async def named(
    connection: AsyncConnection, tenant_id: str, transaction_ids: Iterable[str]
) -> dict[str, Transaction]:
    """Those of these transactions that the tenant has, by id, whatever their cards."""
    values = {"tenant_id": tenant_id, "transaction_ids": sorted(set(transaction_ids))}
    found = (await connection.execute(_NAMED, values)).mappings()
    return {row["transaction_id"]: _transaction(dict(row)) for row in found}


async def of_card(
    connection: AsyncConnection, tenant_id: str, card_id: str, *, limit: int
) -> list[Transaction]:
    """The card's latest transactions, newest first."""
    values = {"tenant_id": tenant_id, "card_id": card_id, "limit": limit}
    found = (await connection.execute(_OF_CARD, values)).mappings()
    return [_transaction(dict(row)) for row in found]


async def cancels_of(
    connection: AsyncConnection, tenant_id: str, transaction_ids: Iterable[str]
) -> dict[str, Cancelled]:
    """What has been taken back of transactions; of one that is left out, nothing."""
    values = {"tenant_id": tenant_id, "transaction_ids": sorted(set(transaction_ids))}
    found = await connection.execute(_CANCELS_OF, values)
    return {row[0]: Cancelled(*row[1:]) for row in found}


async def redeemed(
    connection: AsyncConnection, tenant_id: str, card_id: str, reward_id: str
) -> int:
    """How often the card has had this reward, cancelled ones left out."""
    values = {"tenant_id": tenant_id, "card_id": card_id, "reward_id": reward_id}
    return int((await connection.execute(_REDEEMED, values)).scalar_one())


async def insert(
    connection: AsyncConnection, tenant_id: str, new: Sequence[NewTransaction], *, now: datetime
) -> None:
    """Write transactions down; IntegrityRefused where an id is taken."""
    if not new:
        return
    made: dict[str, list[object]] = {
        "state": ["done" if one.reason is None else "refused" for one in new],
        "basis": [json.dumps(dict(one.basis)) for one in new],
    }
    values = {name: made.get(name) or [getattr(one, name) for one in new] for name in _ADDED}
    await connection.execute(_INSERT, {**values, "tenant_id": tenant_id, "now": now})


def _transaction(row: dict[str, object]) -> Transaction:
    row["basis"] = json.loads(str(row["basis"]))
    return Transaction(**row)  # type: ignore[arg-type] # the columns are those of the class
