"""Transactions of loyalty cards: what was asked for, once each, and what cancelled it.

Called by the loyalty worker with the card locked. A transaction's id is its sender's; the primary
key is what turns a second one away. It knows no rule.
"""

import json
from collections.abc import Mapping
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
_OF_CARD = text(f"""
    SELECT {_COLUMNS} FROM loyalty.transactions
    WHERE tenant_id = :tenant_id AND card_id = :card_id
    ORDER BY recorded_at DESC, transaction_id LIMIT :limit
""")
_CANCELS_OF = text("""
    SELECT count(*) AS count, CAST(coalesce(sum(quantity), 0) AS bigint) AS quantity,
           coalesce(bool_or(is_final), false) AS is_final
    FROM loyalty.transactions WHERE tenant_id = :tenant_id AND cancels = :transaction_id
""")
_REDEEMED = text("""
    SELECT count(*) FROM loyalty.transactions r
    WHERE r.tenant_id = :tenant_id AND r.card_id = :card_id AND r.kind = 'redemption'
      AND r.state = 'done' AND r.reward_id = :reward_id
      AND NOT EXISTS (SELECT FROM loyalty.transactions c WHERE c.tenant_id = r.tenant_id
                      AND c.cancels = r.transaction_id AND c.is_final)
""")
_INSERT = text("""
    INSERT INTO loyalty.transactions
      (tenant_id, transaction_id, card_id, programme_id, kind, state, reason, cancels, cancel_no,
       is_final, rules_version, store_id, reward_id, amount_minor, currency, quantity, basis,
       request_hash, work_id, occurred_at, recorded_at)
    VALUES (:tenant_id, :transaction_id, :card_id, :programme_id, :kind, :state, :reason, :cancels,
            :cancel_no, :is_final, :rules_version, :store_id, :reward_id, :amount_minor, :currency,
            :quantity, CAST(:basis AS jsonb), :request_hash, :work_id, :occurred_at, :now)
""")


async def get(
    connection: AsyncConnection, tenant_id: str, transaction_id: str
) -> Transaction | None:
    """Read one transaction of the tenant, whatever its card."""
    values = {"tenant_id": tenant_id, "transaction_id": transaction_id}
    row = (await connection.execute(_GET, values)).mappings().one_or_none()
    return None if row is None else _transaction(dict(row))


async def of_card(
    connection: AsyncConnection, tenant_id: str, card_id: str, *, limit: int
) -> list[Transaction]:
    """The card's latest transactions, newest first."""
    values = {"tenant_id": tenant_id, "card_id": card_id, "limit": limit}
    found = (await connection.execute(_OF_CARD, values)).mappings()
    return [_transaction(dict(row)) for row in found]


async def cancels_of(connection: AsyncConnection, tenant_id: str, transaction_id: str) -> Cancelled:
    """What has been taken back of a transaction."""
    values = {"tenant_id": tenant_id, "transaction_id": transaction_id}
    return Cancelled(**(await connection.execute(_CANCELS_OF, values)).mappings().one())


async def redeemed(
    connection: AsyncConnection, tenant_id: str, card_id: str, reward_id: str
) -> int:
    """How often the card has had this reward, cancelled ones left out."""
    values = {"tenant_id": tenant_id, "card_id": card_id, "reward_id": reward_id}
    return int((await connection.execute(_REDEEMED, values)).scalar_one())


async def insert(
    connection: AsyncConnection, tenant_id: str, new: NewTransaction, *, now: datetime
) -> None:
    """Write a transaction down; IntegrityRefused where its id is taken."""
    values = {name: getattr(new, name) for name in NewTransaction.__slots__}
    values |= {
        "tenant_id": tenant_id,
        "state": "done" if new.reason is None else "refused",
        "basis": json.dumps(dict(new.basis)),
        "now": now,
    }
    await connection.execute(_INSERT, values)


def _transaction(row: dict[str, object]) -> Transaction:
    row["basis"] = json.loads(str(row["basis"]))
    return Transaction(**row)  # type: ignore[arg-type] # the columns are those of the class
