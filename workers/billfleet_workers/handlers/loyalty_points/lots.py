"""A card's lots of points, and everything that can happen to them. Pure.

The handler opens a `Book` over the rows it has locked, the functions here and in `cancelling`
move points in it, and `posting` writes the moves down. A move never creates or loses a point: of
each lot, issued = spent + expired + reversed + remaining. It knows no database and no clock.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final, Literal

from billfleet_contracts import DebtPolicy
from billfleet_db.loyalty import Lot

Kind = Literal[
    "issue",  # the lot came to be
    "spend",  # for a reward
    "recover",  # to pay back a debt
    "return",  # a redemption was cancelled
    "expire",
    "reverse",  # the lot's own transaction was cancelled
    "void",  # cancelled as well, but these had expired already
    "debt",  # cancelled as well, but these had been spent: the card owes them
    "stamp",
    "unstamp",
    "complete",  # stamps became a voucher
    "reopen",  # a voucher became stamps again
]

_EFFECTS: Final[Mapping[Kind, Mapping[str, int]]] = {
    "issue": {},
    "spend": {"remaining": -1, "spent": 1},
    "recover": {"remaining": -1, "spent": 1},
    "return": {"remaining": 1, "spent": -1},
    "expire": {"remaining": -1, "expired": 1},
    "reverse": {"remaining": -1, "reversed": 1},
    "void": {"voided": 1},
    "debt": {"owed": 1},
}
_DEBT_EFFECTS: Final[Mapping[Kind, int]] = {"debt": 1, "recover": -1}
_STAMP_EFFECTS: Final[Mapping[Kind, int]] = {
    "stamp": 1,
    "unstamp": -1,
    "complete": -1,
    "reopen": 1,
}
_NEVER: Final = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Move:
    """So many points of a lot (or stamps, without one) moved in this way."""

    kind: Kind
    lot_id: str | None
    quantity: int


@dataclass(frozen=True, slots=True)
class Balance:
    """What a card has at one instant."""

    spendable: int
    pending: int
    debt: int
    shown: int
    """What the customer is told: below zero only where the programme lets it."""


@dataclass(slots=True)
class Book:
    """A card while one transaction works on it: lots by id, debt, stamps, and the moves so far."""

    lots: dict[str, Lot]
    debt: int = 0
    stamps: int = 0
    moves: list[Move] = field(default_factory=list)

    def move(self, kind: Kind, lot_id: str | None, quantity: int) -> None:
        """Move points or stamps, unless there are none to move."""
        if quantity == 0:
            return
        if lot_id is not None:
            lot = self.lots[lot_id]
            changes = {
                name: getattr(lot, name) + sign * quantity for name, sign in _EFFECTS[kind].items()
            }
            self.lots[lot_id] = replace(lot, **changes)
        self.debt += _DEBT_EFFECTS.get(kind, 0) * quantity
        self.stamps += _STAMP_EFFECTS.get(kind, 0) * quantity
        self.moves.append(Move(kind, lot_id, quantity))

    def take_moves(self) -> list[Move]:
        """The moves since the last call."""
        moves, self.moves = self.moves, []
        return moves


def burn_order(lots: Iterable[Lot]) -> list[Lot]:
    """The order in which lots are spent (R57): fully determined by what the lots say."""
    return sorted(
        lots,
        key=lambda lot: (lot.priority, lot.expires_at or _NEVER, lot.issued_at, lot.lot_id),
    )


def is_expired(lot: Lot, at: datetime) -> bool:
    """A lot that expires at T can be spent before T and not at T (R59).

    What was expired once stays so, also for a message that began before and waited for the card.
    """
    return lot.expires_at is not None and (lot.expires_at <= at or lot.expired > 0)


def is_usable(lot: Lot, at: datetime) -> bool:
    """Whether its points can be spent: no longer pending (R67), not yet expired."""
    return lot.available_at <= at and not is_expired(lot, at)


def balance(book: Book, at: datetime, debt: DebtPolicy) -> Balance:
    """What the card has at this instant, whether or not expiry has been booked (R59)."""
    live = [lot for lot in book.lots.values() if not is_expired(lot, at)]
    usable = sum(lot.remaining for lot in live if lot.available_at <= at)
    pending = sum(lot.remaining for lot in live if lot.available_at > at)
    shown = usable - book.debt if debt == "negative_balance" else usable
    return Balance(max(shown, 0), pending, book.debt, shown)


def spend(book: Book, points: int, at: datetime, debt: DebtPolicy) -> bool:
    """Spend from the lots in burn order; False, and nothing moved, where there is too little."""
    if points > balance(book, at, debt).spendable:
        return False
    left = points
    for lot in burn_order(lot for lot in book.lots.values() if is_usable(lot, at)):
        taken = min(lot.remaining, left)
        book.move("spend", lot.lot_id, taken)
        left -= taken
    return True


def expire_due(book: Book, at: datetime) -> list[Move]:
    """Expire what is unspent of every lot whose time has come; again, it finds nothing (R60)."""
    for lot in sorted(book.lots.values(), key=lambda lot: lot.lot_id):
        if is_expired(lot, at):
            book.move("expire", lot.lot_id, lot.remaining)
    return book.take_moves()


def issue(book: Book, lot: Lot) -> None:
    """Add a new lot, and let it pay what the card owes (R62)."""
    book.lots[lot.lot_id] = lot
    book.move("issue", lot.lot_id, lot.issued)
    recover(book, [lot.lot_id])


def recover(book: Book, lot_ids: Iterable[str]) -> None:
    """Let these lots pay the card's debt, as far as they reach."""
    for lot_id in lot_ids:
        book.move("recover", lot_id, min(book.debt, book.lots[lot_id].remaining))
