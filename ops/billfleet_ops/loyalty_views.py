"""How loyalty looks: a card, a transaction, a dry run and findings, as tables and as JSON.

Called by the loyalty commands with rows of the database room. It reads nothing.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from billfleet_db.loyalty import Card, Lot, LoyaltyFinding, Transaction, Voucher
from billfleet_db.loyalty.reading import Movement
from billfleet_ops.output import Output
from billfleet_ops.why_words import moment

if TYPE_CHECKING:
    from billfleet_ops.replaying import Replay
    from billfleet_workers.main.loyalty import Balance, Earned

NEXT_EXPIRIES_MAX = 5
DIFFERENCES_SHOWN_MAX = 20
WORDS = {
    "issue": "were issued",
    "spend": "were spent",
    "recover": "paid back what the card owed",
    "return": "came back",
    "expire": "expired",
    "reverse": "were taken back",
    "void": "had expired already, so nothing was taken",
    "debt": "had been spent already, so the card owes them",
    "stamp": "stamps were given",
    "unstamp": "stamps were taken back",
    "complete": "stamps became vouchers",
    "reopen": "stamps came out of a voucher again",
}


@dataclass(frozen=True)
class CardSeen:
    """All that is shown of a card."""

    card: Card
    balance: "Balance"
    at: datetime
    lots: Sequence[Lot]
    history: Sequence[Transaction]
    vouchers: Sequence[Voucher]


@dataclass(frozen=True)
class TransactionSeen:
    """All that is shown of a transaction."""

    transaction: Transaction
    movements: Sequence[Movement]
    cancelled_by: Sequence[str]


def show_card(output: Output, seen: CardSeen, *, as_json: bool) -> None:
    """Balance, next expiries, lots and history."""
    if as_json:
        output.json(asdict(seen))
        return
    card, balance = seen.card, seen.balance
    output.table(
        ("card", card.card_id),
        [
            ("programme", card.programme_id),
            ("customer", card.customer_id),
            ("balance", balance.shown),
            ("spendable", balance.spendable),
            ("pending", balance.pending),
            ("owed", balance.debt),
            ("stamps", card.stamps),
            ("vouchers", ", ".join(one.reward_id for one in seen.vouchers) or "none"),
            ("as of", moment(seen.at)),
        ],
    )
    output.table(
        ("lot", "issued", "spent", "expired", "reversed", "remaining", "from", "expires"),
        [
            (lot.lot_id, lot.issued, lot.spent, lot.expired, lot.reversed, lot.remaining,
             moment(lot.available_at), moment(lot.expires_at) if lot.expires_at else "never")
            for lot in seen.lots
        ],
        title="Lots",
    )  # fmt: skip
    dying = sorted(
        (lot for lot in seen.lots if lot.remaining and lot.expires_at and lot.expires_at > seen.at),
        key=lambda lot: (lot.expires_at or seen.at, lot.lot_id),
    )
    for lot in dying[:NEXT_EXPIRIES_MAX]:
        output.say(f"{lot.remaining} points expire at {moment(lot.expires_at or seen.at)}.")
    output.table(
        ("transaction", "when", "kind", "quantity", "cancels", "result"),
        [
            (one.transaction_id, moment(one.occurred_at), one.kind, one.quantity or 0,
             one.cancels or "", one.reason or one.state)
            for one in seen.history
        ],
        title="History",
    )  # fmt: skip


def show_transaction(output: Output, seen: TransactionSeen, *, as_json: bool) -> None:
    """A transaction in sentences."""
    if as_json:
        output.json(asdict(seen))
        return
    for line in sentences(seen):
        output.say(line)


def sentences(seen: TransactionSeen) -> list[str]:
    """What was asked for, what came of it, which rule gave what, and what cancelled it."""
    one = seen.transaction
    asked = (
        f"{one.transaction_id} is a {one.kind} of card {one.card_id} at {moment(one.occurred_at)}, "
        f"written down at {moment(one.recorded_at)} for message {one.work_id}."
    )
    lines = [asked]
    if one.reason is not None:
        lines.append(f"It was refused: {one.reason}. Nothing moved, and its id is used up.")
    if one.cancels is not None:
        left = "nothing is left of it" if one.is_final else "a part of it is left"
        lines.append(f"It took back {one.quantity} of {one.cancels}; {left}.")
    if one.rules_version is not None:
        lines.append(f"It follows version {one.rules_version} of programme {one.programme_id}.")
    steps = one.basis.get("steps")
    lines += [f"  {step}" for step in steps] if isinstance(steps, list) else []
    for move in seen.movements:
        of_lot = f" points of lot {move.lot_id}" if move.lot_id else ""
        lines.append(f"{move.quantity}{of_lot} {WORDS[move.kind]}.")
    if not seen.movements and one.reason is None:
        lines.append("It moved no points and no stamps.")
    if seen.cancelled_by:
        lines.append(f"It was cancelled by {', '.join(seen.cancelled_by)}.")
    return lines


def show_dry_run(output: Output, earned: "Earned", *, as_json: bool) -> None:
    """What a purchase would earn, and which rule gives what."""
    if as_json:
        output.json({"points": earned.points, "steps": list(earned.steps)})
        return
    for step in earned.steps:
        output.say(step)
    output.say(f"The purchase would earn {earned.points} points.")


def show_replay(output: Output, replayed: "Replay", *, as_json: bool) -> None:
    """Whether a replay came out as planned, and the same each time."""
    found = replayed.comparison
    if as_json:
        output.json({**asdict(replayed), "is_right": replayed.is_right})
        return
    output.table(
        ("round", "messages", "seconds", "messages/s", "digest of all books"),
        [
            (number, one.sent, round(one.took_s, 1), round(one.sent / one.took_s), one.digest[:16])
            for number, one in enumerate(replayed.rounds, 1)
        ],
    )
    rows = [
        ("cards", found.cards),
        ("lots", found.lots),
        ("points that can be spent", found.balance),
        ("points owed", found.debt),
        ("differences from the plan", len(found.differences)),
    ]
    output.table(("found", "count"), rows)
    for difference in found.differences[:DIFFERENCES_SHOWN_MAX]:
        output.say(difference)


def show_findings(
    output: Output, findings: Sequence[LoyaltyFinding], tenant: str | None, *, as_json: bool
) -> None:
    """What verifying found."""
    if as_json:
        output.json({"tenant": tenant, "findings": [asdict(one) for one in findings]})
    elif findings:
        output.table(
            ("check", "tenant", "where", "what"),
            [(one.check, one.tenant_id, one.subject, one.message) for one in findings],
            title=f"{len(findings)} findings",
        )
    else:
        output.say(f"The points of {tenant or 'all tenants'} are right: nothing was found.")
