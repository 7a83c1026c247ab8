"""Taking back: purchases, redemptions and stamps, wholly or in part. Pure.

The handler calls it with a `Book` and with what earlier cancellations of the same transaction did.
Points that were spent or have expired meanwhile are never lost sight of: they become a debt, or
are recorded as void. It knows no database and no clock.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Final

from billfleet_db.loyalty import SpentLot, Voucher
from billfleet_workers.handlers.loyalty_points.lots import Book, is_expired, recover

_NOWHERE: Final[Mapping[str, int]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class TakenBack:
    """Where the points of a cancelled earning were found."""

    taken: int
    void: int
    owed: int


def cancel_earning(
    book: Book, lot_id: str, points: int, anew: Mapping[str, int] = _NOWHERE
) -> TakenBack:
    """Take points of an earning back (R62, R63).

    What remains of that lot goes first; what of it has expired is recorded and costs nobody
    anything; the rest has been spent and is owed. Expired points that were given `anew` live on in
    other lots, which pay for them. All other lots are left alone.
    """
    lot = book.lots[lot_id]
    living = {
        grace_id: min(given, book.lots[grace_id].issued - book.lots[grace_id].expired)
        for grace_id, given in anew.items()
    }
    taken = min(points, lot.remaining)
    void = min(points - taken, max(0, lot.expired - sum(living.values()) - lot.voided))
    owed = points - taken - void
    book.move("reverse", lot_id, taken)
    book.move("void", lot_id, void)
    book.move("debt", lot_id, owed)
    for grace_id, most in living.items():
        paid = min(owed, most, book.lots[grace_id].remaining)
        book.move("recover", grace_id, paid)
        taken, owed = taken + paid, owed - paid
    return TakenBack(taken, void, owed)


def cancel_redemption(book: Book, spent: Sequence[SpentLot], points: int, at: datetime) -> int:
    """Give points back to the lots that they came from, the last one first (R61).

    They pay a debt before anything else. What comes back to a lot that has expired meanwhile
    expires with it; how many points that were is returned, because a programme may grant grace.
    """
    left, returned = points, []
    for one in sorted(spent, key=lambda one: one.order, reverse=True):
        back = min(left, one.points)
        if back:
            book.move("return", one.lot_id, back)
            returned.append((one.lot_id, back))
            left -= back
    recover(book, [lot_id for lot_id, _ in returned])
    expired = 0
    for lot_id, _ in returned:
        lot = book.lots[lot_id]
        if is_expired(lot, at):
            expired += lot.remaining
            book.move("expire", lot_id, lot.remaining)
    return expired


def cancel_stamps(book: Book, vouchers: Sequence[Voucher], stamps: int) -> list[str]:
    """Take stamps back; where a full card had been made of them, void the newest open vouchers.

    Where the vouchers are used already, the card's stamps stay below zero and the next ones fill
    the gap.
    """
    book.move("unstamp", None, stamps)
    voided: list[str] = []
    reopened = 0
    for voucher in sorted(vouchers, key=lambda one: (one.issued_at, one.voucher_id), reverse=True):
        if book.stamps + reopened >= 0:
            break
        reopened += voucher.stamps
        voided.append(voucher.voucher_id)
    book.move("reopen", None, reopened)
    return voided
