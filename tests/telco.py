"""The telco customers as a file to import, and what that file says must be billed.

The real file lies beside the checkout. Where it does not, a made-up one of the same columns,
size and line endings takes its place, so that the same test runs everywhere. The expectation is
computed from the file with `csv` and `Decimal` alone, and shares no code with the product.
"""

import csv
import random
from collections import Counter
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path

REAL = Path(__file__).parents[2] / "shared" / "data" / "telco_customers.csv"
ROWS = 7043
COLUMNS = (
    "customer_id,tenure_months,contract,paperless_billing,payment_method,"
    "monthly_charges_usd,total_charges_usd,churned"
)
MAPPING = {
    "account_id": "customer_id",
    "amount": "monthly_charges_usd",
    "commitment_months": "contract",
    "payment_method": "payment_method",
}
_CONTRACTS = {"Month-to-month": 1, "One year": 12, "Two year": 24}
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


def provide(folder: Path) -> Path:
    """The real file, or the made-up one in the folder."""
    if REAL.exists():
        return REAL
    made_up = folder / "telco_customers.csv"
    made_up.write_text("\r\n".join([COLUMNS, *_made_up_rows(random.Random(7043))]) + "\r\n")
    return made_up


def _made_up_rows(chance: random.Random) -> list[str]:
    rows = []
    for number in range(ROWS):
        name = f"{number:04}-{''.join(chance.choices(_LETTERS, k=5))}"
        cents = chance.randrange(1825, 11876, 5)
        contract = chance.choice(list(_CONTRACTS))
        amount = Decimal(cents) / 100
        rows.append(f"{name},1,{contract},Yes,Electronic check,{amount},{amount},No")
    return rows


@dataclass(frozen=True)
class Expectation:
    """What the file says: cents per customer and month, and months of commitment."""

    cents: dict[str, int]
    commitments: Counter[int]

    @classmethod
    def of(cls, path: Path) -> "Expectation":
        with path.open(newline="", encoding="utf-8") as stream:
            rows = list(csv.DictReader(stream))
        cents = {row["customer_id"]: Decimal(row["monthly_charges_usd"]) * 100 for row in rows}
        assert len(cents) == len(rows) == ROWS
        assert all(amount == int(amount) for amount in cents.values())
        return cls(
            {customer: int(amount) for customer, amount in cents.items()},
            Counter(_CONTRACTS[row["contract"]] for row in rows),
        )

    def charges(self, periods: list[date]) -> Counter[tuple[str, date, int]]:
        """Every charge that must be there, each once."""
        return Counter(
            (customer, period, cents)
            for customer, cents in self.cents.items()
            for period in periods
        )


def write_part(path: Path, part: Path, *, of: int, number: int) -> set[str]:
    """Write every n-th row to a file of its own; returns its customers."""
    with path.open(newline="", encoding="utf-8") as stream:
        header, *rows = list(csv.reader(stream))
    chosen = rows[number::of]
    with part.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream).writerows([header, *chosen])
    return {row[0] for row in chosen}
