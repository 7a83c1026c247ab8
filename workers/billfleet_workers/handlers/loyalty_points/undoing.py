"""What a cancellation does to a card: of a purchase, of stamps, of a redemption.

The handler calls it like the acts in `acting`. How much is taken back follows from what the
cancelled transaction rested on and from what earlier cancellations have done; where the points are
found is decided in `cancelling`.
"""

from dataclasses import dataclass
from datetime import timedelta

from billfleet_contracts import CancelTransaction, PointsReversed
from billfleet_db import loyalty
from billfleet_db.loyalty import Cancelled, Lot, Transaction
from billfleet_workers.dates import ONE_DAY, local_today
from billfleet_workers.handlers.loyalty_points.acting import Done, Refuse
from billfleet_workers.handlers.loyalty_points.cancelling import (
    cancel_earning,
    cancel_redemption,
    cancel_stamps,
)
from billfleet_workers.handlers.loyalty_points.earning import Basis, midnight, points_for
from billfleet_workers.handlers.loyalty_points.lots import issue
from billfleet_workers.handlers.loyalty_points.visit import Visit
from billfleet_workers.runtime.errors import Permanent


@dataclass(frozen=True, slots=True)
class _Part:
    """The part of a transaction that a cancellation takes back."""

    target: Transaction
    before: int
    quantity: int
    is_final: bool
    cancel_no: int


async def cancel(visit: Visit, event: CancelTransaction) -> Done:
    """Take back a transaction of this card, or the part that is asked for."""
    target = visit.counter.known.get(event.cancels)
    if target is None or target.card_id != visit.card.card_id:
        raise Permanent(f"card {event.card_id} has no transaction {event.cancels}")
    if target.state == "refused":
        raise Refuse("was_refused")
    if target.kind not in ("points", "stamps", "redemption"):
        raise Refuse("not_cancellable")
    so_far = visit.counter.cancelled.get(event.cancels, Cancelled(0, 0, is_final=False))
    part = _part(target, event, so_far)
    match target.kind:
        case "points":
            figures = _cancel_purchase(visit, part)
        case "stamps":
            figures = await _cancel_stamps(visit, part)
        case _:
            figures = _cancel_redemption(visit, event, part)
    reversed_ = PointsReversed(
        card_id=event.card_id,
        transaction_id=event.transaction_id,
        occurred_at=event.occurred_at,
        cancels=event.cancels,
        is_final=part.is_final,
        **figures,
    )
    columns = {
        "cancels": event.cancels,
        "cancel_no": part.cancel_no,
        "is_final": part.is_final,
        "quantity": part.quantity,
        "basis": figures,
    }
    return Done(columns, (reversed_,))


def _part(target: Transaction, event: CancelTransaction, so_far: Cancelled) -> _Part:
    if so_far.is_final:
        raise Refuse("already_cancelled")
    whole = target.amount_minor if target.kind == "points" else target.quantity
    left = (whole or 0) - so_far.quantity
    quantity = left if event.quantity is None else event.quantity
    if quantity > left:
        raise Refuse("more_than_left")
    return _Part(target, so_far.quantity, quantity, quantity == left, so_far.count + 1)


def _cancel_purchase(visit: Visit, part: _Part) -> dict[str, int]:
    """Reverse what the rest of the purchase would not have earned (R64)."""
    target = part.target
    lot = visit.book.lots.get(target.transaction_id)
    if lot is None:
        return {}
    rules = visit.counter.programmes[target.programme_id].of(target.rules_version)
    earning = rules.earning if rules else None
    if earning is None:
        raise Permanent(f"the rules of transaction {target.transaction_id} are gone")
    basis = Basis.from_json(target.basis)
    rest = max(0, basis.eligible_minor - part.before - part.quantity)
    asked_back = lot.reversed + lot.voided + lot.owed
    points = max(0, lot.issued - asked_back - points_for(earning, basis, rest))
    back = cancel_earning(visit.book, lot.lot_id, points, visit.counter.anew[lot.lot_id])
    return {"taken": back.taken, "owed": back.owed, "void": back.void}


async def _cancel_stamps(visit: Visit, part: _Part) -> dict[str, int]:
    vouchers = await loyalty.programmes.open_vouchers(
        visit.counter.connection, visit.counter.tenant, visit.card.card_id
    )
    visit.voided += cancel_stamps(visit.book, vouchers, part.quantity)
    return {"stamps": part.quantity}


def _cancel_redemption(visit: Visit, event: CancelTransaction, part: _Part) -> dict[str, int]:
    target = part.target
    spent = visit.counter.spent[target.transaction_id]
    expired = cancel_redemption(visit.book, spent, part.quantity, visit.now)
    _grant_grace(visit, event, expired)
    if part.is_final:
        visit.reopened.append(target.transaction_id)
        visit.stocks[target.programme_id, target.reward_id or ""] += 1
    return {"returned": part.quantity, "expired": expired}


def _grant_grace(visit: Visit, event: CancelTransaction, points: int) -> None:
    """Points that came back too late live on in a lot of their own, where the programme says so."""
    if not points:
        return
    _, rules = visit.counter.rules_at(visit.card, visit.now)
    if not rules.grace_days:
        return
    day = local_today(visit.now, visit.card.time_zone)
    lot = Lot(
        lot_id=event.transaction_id,
        priority=rules.burn_priority,
        issued=points,
        remaining=points,
        issued_at=visit.now,
        available_at=visit.now,
        expires_at=midnight(day + timedelta(days=rules.grace_days) + ONE_DAY, visit.card.time_zone),
    )
    issue(visit.book, lot)
