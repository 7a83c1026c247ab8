"""Real purchases as a seeded plan of loyalty messages, and what must come of it.

Called by `billfleet loyalty replay` and by the benchmark. Of the purchases a share is cancelled
later, and a share of the cards redeems its whole balance. The outcome is computed here a second
time, by plain arithmetic that shares nothing with the worker. Pure but for reading the file.
"""

import csv
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from itertools import groupby
from pathlib import Path

from billfleet_contracts import AddPoints, CancelTransaction, Event, RedeemReward
from billfleet_ops.errors import UsageWrong, from_os_error

SEED = 20260131
CURRENCY = "USD"
CENTS_PER_POINT = 100
PRICES = tuple(2**power for power in range(20))
"""Rewards at every power of two: together they take any balance whole."""


@dataclass(frozen=True, slots=True)
class Purchase:
    """One line of the file."""

    number: int
    customer_id: str
    day: date
    amount_minor: int

    @property
    def occurred_at(self) -> datetime:
        """Noon of its day, and later lines a little later."""
        return datetime.combine(self.day, time(12), UTC) + timedelta(
            microseconds=self.number % 10**6
        )


@dataclass(slots=True)
class ExpectedLot:
    """A lot as plain arithmetic has it."""

    remaining: int
    spent: int = 0
    reversed: int = 0
    owed: int = 0


@dataclass(slots=True)
class ExpectedCard:
    """A card as plain arithmetic has it; lots are in the order in which they are burnt."""

    debt: int = 0
    lots: dict[str, ExpectedLot] = field(default_factory=dict)

    def buy(self, lot_id: str, points: int) -> None:
        """A purchase; it pays what is owed."""
        if points:
            paid = min(points, self.debt)
            self.debt -= paid
            self.lots[lot_id] = ExpectedLot(points - paid, paid)

    def spend(self, points: int) -> None:
        """A redemption that the balance covers."""
        for lot in self.lots.values():
            taken = min(points, lot.remaining)
            lot.remaining -= taken
            lot.spent += taken
            points -= taken

    def cancel(self, lot_id: str) -> None:
        """A purchase is returned; what was spent of it is owed."""
        lot = self.lots.get(lot_id)
        if lot is not None:
            lot.owed = lot.spent
            lot.reversed = lot.remaining
            lot.remaining = 0
            self.debt += lot.owed

    @property
    def balance(self) -> int:
        """What can be spent."""
        return sum(lot.remaining for lot in self.lots.values())


@dataclass(frozen=True, slots=True)
class CardPlan:
    """The messages of one card in order, and how it must look afterwards."""

    card_id: str
    events: Sequence[Event]
    expected: ExpectedCard


def read_purchases(path: Path) -> Iterator[Purchase]:
    """The purchases of a file with the columns customer_id, date and amount_usd.

    Raises:
        UsageWrong: a line can't be read; it is named.
        OpsError: the file can't be opened.
    """
    try:
        with path.open(encoding="utf-8", newline="") as lines:
            for number, row in enumerate(csv.DictReader(lines), 1):
                yield _purchase(path, number, row)
    except OSError as error:
        raise from_os_error(error, str(path)) or _wrong(path, str(error)) from error


def plan_cards(
    purchases: Iterator[Purchase],
    *,
    cancelled: float = 0.05,
    redeemed: float = 0.10,
    cards_max: int | None = None,
) -> Iterator[CardPlan]:
    """The plan of each card; the same file gives the same plan."""
    by_customer = groupby(
        sorted(purchases, key=lambda one: (one.customer_id, one.number)),
        key=lambda one: one.customer_id,
    )
    for number, (customer_id, own) in enumerate(by_customer):
        if number == cards_max:
            return
        chance = random.Random(f"{SEED}:{customer_id}")  # noqa: S311 (a plan, not a secret)
        yield _plan(customer_id, list(own), chance, cancelled=cancelled, redeemed=redeemed)


def _plan(
    customer_id: str,
    purchases: Sequence[Purchase],
    chance: random.Random,
    *,
    cancelled: float,
    redeemed: float,
) -> CardPlan:
    card, events = ExpectedCard(), list[Event]()
    redeems_after = chance.choice(purchases) if chance.random() < redeemed else None
    returns = [one for one in purchases if chance.random() < cancelled]
    for one in purchases:
        lot_id = f"purchase-{one.number:07}"
        bought = AddPoints(
            card_id=customer_id,
            transaction_id=lot_id,
            occurred_at=one.occurred_at,
            amount_minor=one.amount_minor,
            currency=CURRENCY,
        )
        events.append(bought)
        card.buy(lot_id, one.amount_minor // CENTS_PER_POINT)
        if one is redeems_after:
            events += _redemptions(customer_id, one, card)
    for one in returns:
        lot_id = f"purchase-{one.number:07}"
        returned = CancelTransaction(
            card_id=customer_id,
            transaction_id=f"return-{one.number:07}",
            occurred_at=one.occurred_at + timedelta(days=7),
            cancels=lot_id,
        )
        events.append(returned)
        card.cancel(lot_id)
    return CardPlan(customer_id, events, card)


def _redemptions(customer_id: str, after: Purchase, card: ExpectedCard) -> Iterator[Event]:
    whole = card.balance
    for price in reversed(PRICES):
        if whole & price:
            card.spend(price)
            yield RedeemReward(
                card_id=customer_id,
                transaction_id=f"reward-{after.number:07}-{price}",
                occurred_at=after.occurred_at,
                reward_id=f"for-{price}",
            )


def _purchase(path: Path, number: int, row: dict[str, str]) -> Purchase:
    try:
        day = date.fromisoformat(row["date"])
        return Purchase(number, row["customer_id"], day, _cents(row["amount_usd"]))
    except (KeyError, TypeError, ValueError, InvalidOperation) as error:
        raise _wrong(path, f"line {number + 1}: {error!r}") from error


def _cents(amount: str) -> int:
    """Minor units of a plain amount."""
    cents = Decimal(amount) * 100
    if cents != int(cents):
        raise ValueError(f"{amount} has more than two decimals")
    return int(cents)


def _wrong(path: Path, what: str) -> UsageWrong:
    return UsageWrong(
        f"This is no list of purchases: {what}",
        where=str(path),
        remedy="It needs the columns customer_id, date (YYYY-MM-DD) and amount_usd.",
    )
