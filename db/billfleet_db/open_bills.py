"""What an account owes at this moment: its open bills, and their sum in each currency.

The due-bills worker reads it when somebody asks, and the mail worker once more when it sends.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection


@dataclass(frozen=True, slots=True)
class OpenBillRow:
    """A bill that is not paid."""

    period_start: date
    period_end: date
    amount_minor: int
    currency: str
    charge_transfer_id: int


@dataclass(frozen=True, slots=True)
class Total:
    """What is open in one currency."""

    currency: str
    amount_minor: int
    bills: int


@dataclass(frozen=True, slots=True)
class Owed:
    """The latest open bills, oldest first, and the totals of all of them."""

    bills: Sequence[OpenBillRow]
    totals: Sequence[Total]

    @property
    def more(self) -> int:
        """How many open bills there are beyond those listed."""
        return sum(total.bills for total in self.totals) - len(self.bills)


_LATEST = text("""
    SELECT period_start, period_end, amount_minor, currency, charge_transfer_id
    FROM billing.bills
    WHERE tenant_id = :tenant_id AND account_id = :account_id AND state = 'open'
    ORDER BY period_start DESC LIMIT :limit
""")
_TOTALS = text("""
    SELECT currency, CAST(sum(amount_minor) AS bigint) AS amount_minor, count(*) AS bills
    FROM billing.bills
    WHERE tenant_id = :tenant_id AND account_id = :account_id AND state = 'open'
    GROUP BY currency ORDER BY currency
""")


_IS_PAID = text("""
    SELECT EXISTS (
      SELECT FROM billing.bills
      WHERE tenant_id = :tenant_id AND account_id = :account_id AND period_start = :period_start
        AND state = 'paid')
""")


async def is_paid(
    connection: AsyncConnection, tenant_id: str, account_id: str, period_start: date
) -> bool:
    """Whether the period's bill is paid by now."""
    values = {"tenant_id": tenant_id, "account_id": account_id, "period_start": period_start}
    return bool(await connection.scalar(_IS_PAID, values))


async def read(connection: AsyncConnection, tenant_id: str, account_id: str, *, limit: int) -> Owed:
    """What is open now, at most so many bills of it listed."""
    values = {"tenant_id": tenant_id, "account_id": account_id}
    latest = await connection.execute(_LATEST, {**values, "limit": limit})
    bills = [OpenBillRow(**row) for row in latest.mappings()]
    if len(bills) < limit:
        return Owed(bills[::-1], _summed(bills))
    totals = [Total(**row) for row in (await connection.execute(_TOTALS, values)).mappings()]
    return Owed(bills[::-1], totals)


def _summed(bills: Sequence[OpenBillRow]) -> list[Total]:
    currencies = sorted({bill.currency for bill in bills})
    return [
        Total(
            currency,
            sum(bill.amount_minor for bill in bills if bill.currency == currency),
            sum(bill.currency == currency for bill in bills),
        )
        for currency in currencies
    ]
