"""Made-up tenants for `billfleet demo`: their accounts as CSV files, and what they should bring.

Only the demo uses it. The same seed gives the same accounts, and the expectation is computed from
the list alone, so that the ledger can be held against it.
"""

import csv
import random
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

SEED = 2026
COLUMNS = (
    "account_id",
    "name",
    "email",
    "amount",
    "currency",
    "time_zone",
    "anchor_day",
    "rebilling_date",
)
PERIODS = 3


@dataclass(frozen=True, slots=True)
class DemoTenant:
    """A tenant, how many accounts it has, and between which prices, in minor units."""

    tenant: str
    accounts: int
    currency: str
    exponent: int
    zones: tuple[str, ...]
    cheapest_minor: int
    dearest_minor: int


@dataclass(frozen=True, slots=True)
class DemoAccount:
    """One account and its monthly price."""

    account_id: str
    amount_minor: int
    time_zone: str


TENANTS: Sequence[DemoTenant] = (
    DemoTenant(
        "north-telecom",
        180,
        "USD",
        2,
        ("America/New_York", "America/Chicago", "Pacific/Honolulu"),
        1825,
        11875,
    ),
    DemoTenant("kaito-gym", 75, "JPY", 0, ("Asia/Tokyo",), 3000, 12000),
    DemoTenant("leihrad", 45, "EUR", 2, ("Europe/Berlin",), 990, 4990),
)


def accounts_of(tenant: DemoTenant) -> list[DemoAccount]:
    """The tenant's accounts, the same in every demo."""
    chance = random.Random(f"{SEED}:{tenant.tenant}")  # noqa: S311 - made-up prices, not secrets
    return [
        DemoAccount(
            f"{tenant.tenant[:2].upper()}-{number:04d}",
            chance.randint(tenant.cheapest_minor, tenant.dearest_minor),
            chance.choice(tenant.zones),
        )
        for number in range(1, tenant.accounts + 1)
    ]


def first_due(today: date) -> date:
    """The last day of the month, so many months ago that `PERIODS` periods are due."""
    months = today.year * 12 + today.month - 1 - PERIODS
    # The day before the first of the next month is the last day, whatever the month.
    year, month = divmod(months + 1, 12)
    return date.fromordinal(date(year, month + 1, 1).toordinal() - 1)


def write_csv(tenant: DemoTenant, accounts: Sequence[DemoAccount], today: date, to: Path) -> None:
    """The file that an operator of this tenant would import."""
    with to.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for account in accounts:
            whole, part = divmod(account.amount_minor, 10**tenant.exponent)
            amount = f"{whole}.{part:0{tenant.exponent}d}" if tenant.exponent else str(whole)
            writer.writerow(
                (
                    account.account_id,
                    f"Customer {account.account_id}",
                    f"{account.account_id.lower()}@example.com",
                    amount,
                    tenant.currency,
                    account.time_zone,
                    31,
                    first_due(today).isoformat(),
                )
            )
