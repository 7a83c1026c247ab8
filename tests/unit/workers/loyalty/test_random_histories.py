"""Random histories of a card against a slow model that can't be wrong: it moves single points.

The model knows nothing of sums: each point is an object with its own state, and every question is
answered by counting. Planted bugs must be found by the same machine.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import ClassVar

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    invariant,
    rule,
    run_state_machine_as_test,
)

from billfleet_contracts import DebtPolicy
from billfleet_db.loyalty import Lot, SpentLot
from billfleet_workers.handlers.loyalty_points import lots as real
from billfleet_workers.handlers.loyalty_points.cancelling import cancel_earning, cancel_redemption
from billfleet_workers.handlers.loyalty_points.lots import Book, Move

START = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)


@dataclass
class Point:
    """One point: where it came from, and what has become of it."""

    lot: Lot
    state: str = "remaining"
    spent_by: int | None = None
    turn: int = 0


@dataclass
class Model:
    """A card as single points, and the points that it owes."""

    points: list[Point] = field(default_factory=list)
    owed: int = 0
    turn: int = 0
    voided: dict[str, int] = field(default_factory=dict)

    def count(self, lot_id: str, state: str) -> int:
        return sum(one.lot.lot_id == lot_id and one.state == state for one in self.points)

    def of(self, lot_id: str, state: str) -> list[Point]:
        return [one for one in self.points if one.lot.lot_id == lot_id and one.state == state]

    def pay_debt(self, points: list[Point]) -> None:
        for one in points:
            if self.owed and one.state == "remaining":
                one.state = "paid"
                self.owed -= 1

    def expire(self, now: datetime) -> None:
        for one in self.points:
            if one.state == "remaining" and one.lot.expires_at and one.lot.expires_at <= now:
                one.state = "expired"

    def spendable(self, now: datetime) -> list[Point]:
        good = [
            one
            for one in self.points
            if one.state == "remaining"
            and one.lot.available_at <= now
            and (one.lot.expires_at is None or now < one.lot.expires_at)
        ]
        last = datetime.max.replace(tzinfo=UTC)
        return sorted(
            good,
            key=lambda p: (
                p.lot.priority,
                p.lot.expires_at or last,
                p.lot.issued_at,
                p.lot.lot_id,
            ),
        )


class Histories(RuleBasedStateMachine):
    """Purchases, redemptions, cancellations and time, in any order."""

    debt: ClassVar[DebtPolicy] = "receivable"
    earned = Bundle("earned")
    redeemed = Bundle("redeemed")

    def __init__(self) -> None:
        super().__init__()
        self.book = Book({})
        self.model = Model()
        self.now = START
        self.number = 0
        self.issued: dict[str, int] = {}
        self.taken: dict[int, list[tuple[str, int]]] = {}

    @rule(hours=st.sampled_from([1, 1, 2, 3, 24]))
    def let_time_pass(self, hours: int) -> None:
        self.now += hours * HOUR

    @rule()
    def run_the_expiry_job(self) -> None:
        """R60."""
        real.expire_due(self.book, self.now)
        assert real.expire_due(self.book, self.now) == []
        self.model.expire(self.now)

    @rule(
        target=earned,
        points=st.integers(1, 30),
        lives_h=st.sampled_from([None, 1, 2, 3, 4, 24]),
        pending_h=st.sampled_from([0, 0, 0, 2]),
        priority=st.sampled_from([100, 100, 1]),
    )
    def buy(self, points: int, lives_h: int | None, pending_h: int, priority: int) -> str:
        self.number += 1
        lot = Lot(
            lot_id=f"{self.number:04d}",
            priority=priority,
            issued=points,
            remaining=points,
            issued_at=self.now,
            available_at=self.now + pending_h * HOUR,
            expires_at=None if lives_h is None else self.now + lives_h * HOUR,
        )
        self.settle()
        real.issue(self.book, lot)
        fresh = [Point(lot) for _ in range(points)]
        self.model.points += fresh
        self.model.pay_debt(fresh)
        self.issued[lot.lot_id] = 0
        return lot.lot_id

    @rule(target=redeemed, points=st.integers(1, 40))
    def redeem(self, points: int) -> int:
        """R57, R58, R59, R67."""
        return self.spend(points)

    def spend(self, points: int) -> int:
        self.settle()
        good = self.model.spendable(self.now)
        room = len(good) - (self.model.owed if self.debt == "negative_balance" else 0)
        assert real.spend(self.book, points, self.now, self.debt) == (points <= room)
        self.number += 1
        if points <= room:
            for one in good[:points]:
                self.model.turn += 1
                one.state, one.spent_by, one.turn = "spent", self.number, self.model.turn
            spent = [move for move in self.book.take_moves() if move.kind == "spend"]
            self.taken[self.number] = [(str(move.lot_id), move.quantity) for move in spent]
        return self.number

    @rule(target=redeemed)
    def redeem_everything(self) -> int:
        """What a cancellation finds hardest: the lots are empty."""
        self.settle()
        return self.spend(max(1, real.balance(self.book, self.now, self.debt).spendable))

    @rule(lot_id=earned)
    def cancel_what_is_left_of_a_purchase(self, lot_id: str) -> None:
        self.cancel_a_purchase(lot_id, 100)

    @rule(lot_id=earned, share=st.integers(1, 100))
    def cancel_a_purchase(self, lot_id: str, share: int) -> None:
        """R62, R63, R64."""
        self.settle()
        issued = self.book.lots[lot_id].issued
        points = max(1, (issued - self.issued[lot_id]) * share // 100)
        if self.issued[lot_id] + points > issued:
            return
        self.issued[lot_id] += points
        back = cancel_earning(self.book, lot_id, points)
        left = points
        for one in self.model.of(lot_id, "remaining")[:points]:
            one.state = "reversed"
            left -= 1
        unasked = self.model.count(lot_id, "expired") - self.model.voided.get(lot_id, 0)
        void = min(left, unasked)
        self.model.voided[lot_id] = self.model.voided.get(lot_id, 0) + void
        self.model.owed += left - void
        assert (back.taken, back.void, back.owed) == (points - left, void, left - void)

    @rule(number=consumes(redeemed), share=st.integers(1, 100))
    def cancel_a_redemption(self, number: int, share: int) -> None:
        """R61: the whole of it, in two parts."""
        self.settle()
        whole = [one for one in self.model.points if one.spent_by == number]
        first = len(whole) * share // 100
        for part in (first, len(whole) - first):
            spent = [
                SpentLot(lot_id, order, points)
                for order, (lot_id, points) in enumerate(self.taken.get(number, []))
            ]
            if not part:
                continue
            expired = cancel_redemption(self.book, spent, part, self.now)
            self.taken[number] = self._less(number, self.book.take_moves())
            mine = [one for one in self.model.points if one.spent_by == number]
            back = sorted(mine, key=lambda one: one.turn, reverse=True)[:part]
            for one in back:
                one.state, one.spent_by = "remaining", None
            self.model.pay_debt(back)
            before = sum(one.state == "expired" for one in self.model.points)
            self.model.expire(self.now)
            assert sum(p.state == "expired" for p in self.model.points) - before == expired

    def _less(self, number: int, moves: list[Move]) -> list[tuple[str, int]]:
        back = {str(move.lot_id): move.quantity for move in moves if move.kind == "return"}
        return [(lot_id, n - back.get(lot_id, 0)) for lot_id, n in self.taken[number]]

    def settle(self) -> None:
        """As the handler does before each act."""
        real.expire_due(self.book, self.now)
        self.model.expire(self.now)
        self.book.take_moves()

    @invariant()
    def the_books_say_what_counting_says(self) -> None:
        """R59, R60: each lot adds up, with or without the expiry job."""
        for lot_id, lot in self.book.lots.items():
            parts = (lot.remaining, lot.expired, lot.reversed, lot.spent)
            assert min(parts) >= 0
            assert sum(parts) == lot.issued
            counted = [self.model.count(lot_id, s) for s in ("remaining", "expired", "reversed")]
            assert list(parts[:3]) == counted
            assert lot.reversed + lot.voided + lot.owed <= lot.issued
        assert self.book.debt == self.model.owed >= 0
        usable = len(self.model.spendable(self.now))
        owed = self.model.owed if self.debt == "negative_balance" else 0
        found = real.balance(self.book, self.now, self.debt)
        assert (found.spendable, found.shown) == (max(0, usable - owed), usable - owed)


class HistoriesBelowZero(Histories):
    debt = "negative_balance"


QUICK = settings(max_examples=300, stateful_step_count=25, deadline=None, derandomize=True)
UNSHRUNK = settings(QUICK, phases=[Phase.generate])


@pytest.mark.parametrize("machine", [Histories, HistoriesBelowZero])
def test_random_histories_agree_with_counting_single_points(
    machine: type[RuleBasedStateMachine],
) -> None:
    """R57 to R64, R67."""
    run_state_machine_as_test(machine, settings=QUICK)


def _late_expiry(lot: Lot, at: datetime) -> bool:
    return lot.expires_at is not None and lot.expires_at < at


def _latest_first(lots: list[Lot]) -> list[Lot]:
    return sorted(lots, key=lambda lot: lot.issued_at, reverse=True)


@pytest.mark.parametrize(
    ("name", "bug"),
    [
        ("is_expired", _late_expiry),
        ("is_usable", lambda lot, at: not real.is_expired(lot, at)),
        ("burn_order", _latest_first),
        ("recover", lambda book, lot_ids: None),
    ],
)
def test_a_planted_bug_is_found(
    name: str, bug: Callable[..., object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The machine is worth something only if it fails when it should."""
    monkeypatch.setattr(real, name, bug)
    with pytest.raises(AssertionError):
        run_state_machine_as_test(Histories, settings=UNSHRUNK)
