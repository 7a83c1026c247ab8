"""Posts transfers in sets: many rows, few statements, and each key at most once for ever.

Called by handlers inside their transaction. It knows which sides each kind of transfer moves
between; it does not know why anything is billed, and corrections are made in `corrections`.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final, Literal

from sqlalchemy import Row, text
from sqlalchemy.ext.asyncio import AsyncConnection

TransferKind = Literal["charge", "payment", "refund", "write_off"]
Side = Literal["receivable", "revenue", "cash", "bad_debt"]

# kind → (debit, credit). A reversal has the sides of what it reverses, swapped.
SIDES: Final[Mapping[TransferKind, tuple[Side, Side]]] = {
    "charge": ("receivable", "revenue"),
    "payment": ("cash", "receivable"),
    "refund": ("revenue", "cash"),
    "write_off": ("bad_debt", "receivable"),
}
_HOUSE_SIDES: Final = ("bad_debt", "cash", "revenue")


@dataclass(frozen=True, slots=True)
class NewTransfer:
    """A posting that someone wants; `transfer_key` is what makes it the same one next time."""

    tenant_id: str
    transfer_key: str
    kind: TransferKind
    account_id: str
    period_start: date
    amount_minor: int
    currency: str
    work_id: str
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class PostedTransfer:
    """What the ledger holds for a wanted posting.

    `is_new` is False when it was there before; `agrees` is False when that older row has another
    kind, account, period, amount or currency than the one wanted now.
    """

    transfer_id: int
    transfer_key: str
    is_new: bool
    agrees: bool = True


@dataclass(frozen=True, slots=True)
class LedgerAccounts:
    """Ids of the sides of one tenant and currency."""

    receivable: Mapping[str, int]
    house: Mapping[str, int]

    def side(self, kind: Side, account_id: str) -> int:
        """Return the id of a side as the account's transfers see it."""
        return self.receivable[account_id] if kind == "receivable" else self.house[kind]


def charge_key(account_id: str, period_start: date) -> str:
    """Return the key under which a period can be charged once."""
    return f"charge:{account_id}:{period_start.isoformat()}"


def payment_key(attempt_key: str) -> str:
    """Return the key under which an attempt's success can be posted once."""
    return f"payment:{attempt_key}"


async def post_transfers(
    connection: AsyncConnection, rows: Sequence[NewTransfer]
) -> list[PostedTransfer]:
    """Post what is not posted yet and say for every row what the ledger holds, in the rows' order.

    A charge counts as posted when its key or its account and period are taken, so a second charge
    of a period never gets in, whatever it is called or costs (R9).
    """
    if not rows:
        return []
    sides = await _sides_of(connection, rows)
    fresh = await _insert(connection, rows, sides)
    old = await _existing(connection, rows) if len(fresh) < len(rows) else {}
    posted: list[PostedTransfer] = []
    for index, row in enumerate(rows):
        new_id = fresh.pop((row.tenant_id, row.transfer_key), None)
        if new_id is not None:
            posted.append(PostedTransfer(new_id, row.transfer_key, is_new=True))
        else:
            posted.append(old[index])
    return posted


_FIND = text("""
    SELECT kind, account_id, ledger_account_id FROM billing.ledger_accounts
    WHERE tenant_id = :tenant_id AND currency = :currency AND kind = 'receivable'
      AND account_id = ANY(CAST(:account_ids AS text[]))
    UNION ALL
    SELECT kind, account_id, ledger_account_id FROM billing.ledger_accounts
    WHERE tenant_id = :tenant_id AND currency = :currency AND account_id IS NULL
""")

_CREATE = text("""
    INSERT INTO billing.ledger_accounts (tenant_id, kind, account_id, currency)
    SELECT :tenant_id, kind, account_id, :currency
    FROM unnest(CAST(:kinds AS text[]), CAST(:account_ids AS text[])) AS wanted (kind, account_id)
    ON CONFLICT DO NOTHING
""")


async def ensure_ledger_accounts(
    connection: AsyncConnection, tenant_id: str, currency: str, account_ids: Iterable[str]
) -> LedgerAccounts:
    """Return the sides that transfers of these accounts need, creating the missing ones."""
    wanted = sorted(set(account_ids))
    key = {"tenant_id": tenant_id, "currency": currency}
    found = await _find(connection, key, wanted)
    # Everyone creates in this order, so that two who create the same sides do not deadlock (R44).
    missing: list[tuple[str, str | None]] = [
        (k, None) for k in _HOUSE_SIDES if k not in found.house
    ]
    missing += [("receivable", a) for a in wanted if a not in found.receivable]
    if not missing:
        return found
    kinds, accounts = zip(*missing, strict=True)
    await connection.execute(_CREATE, {**key, "kinds": list(kinds), "account_ids": list(accounts)})
    return await _find(connection, key, wanted)


async def _find(
    connection: AsyncConnection, key: Mapping[str, str], account_ids: Sequence[str]
) -> LedgerAccounts:
    rows = (await connection.execute(_FIND, {**key, "account_ids": account_ids})).all()
    return LedgerAccounts(
        receivable={row.account_id: row.ledger_account_id for row in rows if row.account_id},
        house={row.kind: row.ledger_account_id for row in rows if row.account_id is None},
    )


async def _sides_of(
    connection: AsyncConnection, rows: Sequence[NewTransfer]
) -> dict[tuple[str, str], LedgerAccounts]:
    accounts: dict[tuple[str, str], set[str]] = defaultdict(set)
    for row in rows:
        accounts[row.tenant_id, row.currency].add(row.account_id)
    return {
        group: await ensure_ledger_accounts(connection, *group, accounts[group])
        for group in sorted(accounts)
    }


_INSERT = text("""
    INSERT INTO billing.transfers
      (tenant_id, transfer_key, kind, account_id, period_start, debit_id, credit_id,
       amount_minor, currency, reason, work_id)
    SELECT * FROM unnest(
      CAST(:tenant_ids AS text[]), CAST(:transfer_keys AS text[]), CAST(:kinds AS text[]),
      CAST(:account_ids AS text[]), CAST(:period_starts AS date[]), CAST(:debit_ids AS bigint[]),
      CAST(:credit_ids AS bigint[]), CAST(:amounts_minor AS bigint[]), CAST(:currencies AS text[]),
      CAST(:reasons AS text[]), CAST(:work_ids AS text[]))
    ON CONFLICT DO NOTHING
    RETURNING transfer_id, tenant_id, transfer_key
""")


async def _insert(
    connection: AsyncConnection,
    rows: Sequence[NewTransfer],
    sides: Mapping[tuple[str, str], LedgerAccounts],
) -> dict[tuple[str, str], int]:
    # Sorted, so that two batches with the same keys wait for each other and not in a circle (R44).
    ordered = sorted(rows, key=lambda row: (row.tenant_id, row.transfer_key))
    debits, credits_ = [], []
    for row in ordered:
        known = sides[row.tenant_id, row.currency]
        debit, credit = SIDES[row.kind]
        debits.append(known.side(debit, row.account_id))
        credits_.append(known.side(credit, row.account_id))
    result = await connection.execute(
        _INSERT,
        {
            **_columns(ordered),
            "debit_ids": debits,
            "credit_ids": credits_,
            "reasons": [row.reason for row in ordered],
            "work_ids": [row.work_id for row in ordered],
        },
    )
    return {(row.tenant_id, row.transfer_key): row.transfer_id for row in result}


_EXISTING = text("""
    SELECT CAST(w.n - 1 AS integer) AS n, t.transfer_id, t.transfer_key,
           (t.kind, t.account_id, t.period_start, t.amount_minor, t.currency)
             = (w.kind, w.account_id, w.period_start, w.amount_minor, w.currency) AS agrees,
           t.transfer_key = w.transfer_key AS is_same_key
    FROM unnest(
      CAST(:tenant_ids AS text[]), CAST(:transfer_keys AS text[]), CAST(:kinds AS text[]),
      CAST(:account_ids AS text[]), CAST(:period_starts AS date[]),
      CAST(:amounts_minor AS bigint[]), CAST(:currencies AS text[])) WITH ORDINALITY
      AS w (tenant_id, transfer_key, kind, account_id, period_start, amount_minor, currency, n)
    CROSS JOIN LATERAL (
      SELECT * FROM billing.transfers
      WHERE tenant_id = w.tenant_id AND transfer_key = w.transfer_key
      UNION
      SELECT * FROM billing.transfers
      WHERE w.kind = 'charge' AND kind = 'charge' AND tenant_id = w.tenant_id
        AND account_id = w.account_id AND period_start = w.period_start
    ) AS t
    ORDER BY w.n, is_same_key
""")


async def _existing(
    connection: AsyncConnection, rows: Sequence[NewTransfer]
) -> dict[int, PostedTransfer]:
    # A statement of its own: what the insert waited for is visible only to the next snapshot.
    found = await connection.execute(_EXISTING, _columns(rows))
    # Sorted so that the row with the very key comes last and wins.
    return {row.n: _old(row) for row in found}


def _old(row: Row[tuple[object, ...]]) -> PostedTransfer:
    return PostedTransfer(row.transfer_id, row.transfer_key, is_new=False, agrees=row.agrees)


def _columns(rows: Sequence[NewTransfer]) -> dict[str, list[object]]:
    return {
        "tenant_ids": [row.tenant_id for row in rows],
        "transfer_keys": [row.transfer_key for row in rows],
        "kinds": [row.kind for row in rows],
        "account_ids": [row.account_id for row in rows],
        "period_starts": [row.period_start for row in rows],
        "amounts_minor": [row.amount_minor for row in rows],
        "currencies": [row.currency for row in rows],
    }
