"""Writes a plan: ledger, bills, dates, refusals and outbox, a statement for each whatever the size.

The handler calls it inside the transaction that holds the accounts' locks. What the ledger already
has is not announced again; the account's date still moves past it. It decides nothing.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from billfleet_contracts import AccountRebilled, ChargeRef, CollectPayments, Envelope, Event
from billfleet_db import accounts, bills, ledger, outbox, refusals
from billfleet_workers.handlers.outbox_rows import outbox_row
from billfleet_workers.handlers.rebill.plan import REFUSALS, Charge, Outcome, Park, Skip, Terms

COLLECT_AGAIN_AFTER = timedelta(hours=1)
"""When the collect sweep takes up a bill whose first message has led nowhere."""
CHARGES_PER_MESSAGE_MAX = 100


@dataclass(frozen=True, slots=True)
class Origin:
    """The message that asked for the work, and who answers for what comes of it."""

    envelope: Envelope
    source: str


@dataclass(slots=True)
class Tally:
    """What a message led to: periods by word and by reason, and the accounts to look at."""

    periods: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    parked: dict[str, str] = field(default_factory=dict)
    unknown: set[str] = field(default_factory=set)

    def add(self, other: "Tally") -> None:
        """Count another tally in."""
        self.periods.update(other.periods)
        self.reasons.update(other.reasons)
        self.parked |= other.parked
        self.unknown |= other.unknown


@dataclass(frozen=True, slots=True)
class _Posted:
    """A charge that this transaction put into the ledger."""

    charge: Charge
    transfer_id: int


async def post(
    connection: AsyncConnection, outcomes: Sequence[Outcome], origin: Origin, terms: Terms
) -> Tally:
    """Write what the plan says, in the transaction that holds the accounts' locks."""
    charges = [outcome for outcome in outcomes if isinstance(outcome, Charge)]
    posted = await _charge(connection, charges, origin, terms)
    await _refuse(connection, outcomes, origin, terms)
    return _tally(outcomes, billed=len(posted))


async def _charge(
    connection: AsyncConnection, charges: Sequence[Charge], origin: Origin, terms: Terms
) -> list[_Posted]:
    if not charges:
        return []
    tenant = origin.envelope.tenant
    answers = await ledger.post_transfers(
        connection, [_transfer(charge, origin) for charge in charges]
    )
    posted = [
        _Posted(charge, answer.transfer_id)
        for charge, answer in zip(charges, answers, strict=True)
        if answer.is_new
    ]
    if posted:
        await bills.insert(connection, tenant, [_bill(new, terms) for new in posted], now=terms.now)
    following = {charge.account_id: charge.next_period_on for charge in charges}
    await accounts.advance(connection, tenant, following, now=terms.now)
    await outbox.add(
        connection,
        [
            outbox_row(
                event,
                tenant=tenant,
                source=origin.source,
                now=terms.now,
                traceparent=origin.envelope.traceparent,
            )
            for event in _events(posted)
        ],
    )
    return posted


def _transfer(charge: Charge, origin: Origin) -> ledger.NewTransfer:
    return ledger.NewTransfer(
        tenant_id=origin.envelope.tenant,
        transfer_key=ledger.charge_key(charge.account_id, charge.period_start),
        kind="charge",
        account_id=charge.account_id,
        period_start=charge.period_start,
        amount_minor=charge.amount_minor,
        currency=charge.currency,
        work_id=origin.envelope.id,
    )


def _bill(posted: _Posted, terms: Terms) -> bills.NewBill:
    charge = posted.charge
    return bills.NewBill(
        account_id=charge.account_id,
        period_start=charge.period_start,
        period_end=charge.period_end,
        amount_minor=charge.amount_minor,
        currency=charge.currency,
        charge_transfer_id=posted.transfer_id,
        next_attempt_at=terms.now + COLLECT_AGAIN_AFTER if charge.amount_minor else None,
    )


def _events(posted: Sequence[_Posted]) -> list[Event]:
    events: list[Event] = [_rebilled(new.charge, new.transfer_id) for new in posted]
    to_collect = [
        ChargeRef(
            account_id=new.charge.account_id, period_start=new.charge.period_start, attempt_no=1
        )
        for new in posted
        if new.charge.amount_minor
    ]
    for start in range(0, len(to_collect), CHARGES_PER_MESSAGE_MAX):
        refs = to_collect[start : start + CHARGES_PER_MESSAGE_MAX]
        events.append(CollectPayments(charges=tuple(refs)))
    return events


def _rebilled(charge: Charge, transfer_id: int) -> AccountRebilled:
    return AccountRebilled(
        account_id=charge.account_id,
        period_start=charge.period_start,
        period_end=charge.period_end,
        amount_minor=charge.amount_minor,
        currency=charge.currency,
        next_period_on=charge.next_period_on,
        transfer_id=transfer_id,
    )


async def _refuse(
    connection: AsyncConnection, outcomes: Sequence[Outcome], origin: Origin, terms: Terms
) -> None:
    tenant = origin.envelope.tenant
    parked = {park.account_id: park.explanation for park in outcomes if isinstance(park, Park)}
    if parked:
        await accounts.park(connection, tenant, parked, now=terms.now)
    refused = [
        refusals.NewRefusal(outcome.account_id, outcome.period_start, _said(outcome))
        for outcome in outcomes
        if isinstance(outcome, Park) or (isinstance(outcome, Skip) and outcome.reason in REFUSALS)
    ]
    if refused:
        await refusals.record(
            connection, tenant, refused, work_id=origin.envelope.id, now=terms.now
        )


def _said(outcome: Park | Skip) -> str:
    return outcome.explanation if isinstance(outcome, Park) else outcome.reason


def _tally(outcomes: Sequence[Outcome], *, billed: int) -> Tally:
    tally = Tally()
    for outcome in outcomes:
        match outcome:
            case Charge():
                tally.periods["already_billed"] += 1
            case Skip():
                tally.periods["skipped"] += 1
                tally.reasons[outcome.reason] += 1
                if outcome.reason == "unknown_account":
                    tally.unknown.add(outcome.account_id)
            case Park():
                tally.periods["parked"] += 1
                tally.reasons[outcome.reason] += 1
                tally.parked[outcome.account_id] = outcome.explanation
    tally.periods["billed"] = billed
    tally.periods["already_billed"] -= billed
    return tally
