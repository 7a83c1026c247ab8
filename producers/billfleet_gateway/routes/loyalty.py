"""Loyalty: send a transaction of a card, look at a card.

Transactions are work for the fleet, which orders them by card. A card's balance is what it has at
this moment, whether or not expiry has been booked.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Body, Depends, Response
from pydantic import Field, ValidationError
from sqlalchemy.ext.asyncio import AsyncConnection

from billfleet_contracts import (
    AccountId,
    AddPoints,
    CancelTransaction,
    Event,
    IssueStamps,
    RedeemReward,
)
from billfleet_contracts.fields import AmountMinor, Currency, UtcDatetime
from billfleet_contracts.loyalty import Quantity
from billfleet_db.loyalty import Card, Lot, cards, lots, programmes
from billfleet_gateway.accepting import accept
from billfleet_gateway.answers import Answer, Once, once, shown
from billfleet_gateway.callers import Needs
from billfleet_gateway.credentials import Caller
from billfleet_gateway.door import TheDoor
from billfleet_gateway.fields import AnId, Closed, View
from billfleet_gateway.problems import Problem, not_found
from billfleet_gateway.routes.work import WorkAccepted, accepted

router = APIRouter(prefix="/v1", tags=["loyalty"])
Reader = Annotated[Caller, Depends(Needs("loyalty:read"))]
Writer = Annotated[Caller, Depends(Needs("loyalty:write"))]


class _OfCard(Closed):
    card_id: AccountId
    transaction_id: AccountId
    occurred_at: UtcDatetime


class Purchase(_OfCard):
    """A purchase to credit; `redeemed_minor` of it was paid with points."""

    kind: Literal["purchase"]
    amount_minor: AmountMinor
    currency: Currency
    redeemed_minor: AmountMinor = 0
    store_id: AccountId | None = None


class Visit(_OfCard):
    """Visits to stamp."""

    kind: Literal["visit"]
    visits: Annotated[int, Field(ge=1, le=1000)] = 1
    store_id: AccountId | None = None


class Redemption(_OfCard):
    """Points, or a voucher of a full stamp card, for a reward."""

    kind: Literal["redemption"]
    reward_id: AccountId
    pay_with: Literal["points", "voucher"] = "points"
    store_id: AccountId | None = None


class Cancellation(_OfCard):
    """Take back a transaction, or so much of it."""

    kind: Literal["cancellation"]
    cancels: AccountId
    quantity: Quantity | None = None


TransactionGiven = Annotated[
    Purchase | Visit | Redemption | Cancellation, Field(discriminator="kind")
]
_EVENTS: dict[type[_OfCard], type[Event]] = {
    Purchase: AddPoints,
    Visit: IssueStamps,
    Redemption: RedeemReward,
    Cancellation: CancelTransaction,
}


class LotView(View):
    """Points of one transaction that are left."""

    transaction_id: str
    points: int
    available_at: datetime
    expires_at: datetime | None


class CardView(View):
    """A card: what can be spent now, what cannot yet, what is owed, stamps and vouchers."""

    card_id: str
    programme_id: str
    customer_id: str
    spendable_points: int
    pending_points: int
    debt_points: int
    stamps: int
    vouchers: int
    lots: list[LotView]


@router.post("/loyalty/transactions", status_code=202, response_model=WorkAccepted)
async def send_transaction(
    body: Annotated[TransactionGiven, Body()], caller: Writer, asked: Once
) -> Response:
    """Credit a purchase, stamp a visit, redeem a reward, or cancel one of these."""
    event = _event(body)

    async def send(connection: AsyncConnection) -> Answer:
        if await cards.get(connection, caller.tenant, body.card_id) is None:
            raise not_found("card")
        ids, _ = await accept(connection, asked, caller, [event])
        return accepted(ids[0])

    return await once(asked, caller, send)


@router.get("/cards/{card_id}", response_model=CardView)
async def get_card(card_id: AnId, caller: Reader, door: TheDoor) -> Response:
    """What is on a card."""
    async with door.of_tenant(caller.tenant) as connection:
        card = await cards.get(connection, caller.tenant, card_id)
        if card is None:
            raise not_found("card")
        held = await lots.open_lots(connection, caller.tenant, [card_id])
        vouchers = await programmes.open_vouchers(connection, caller.tenant, card_id)
        rules = await programmes.rules_at(connection, caller.tenant, card.programme_id, door.now())
    owes = rules is not None and rules.rules.get("debt") == "negative_balance"
    return shown(
        _card(card, [lot for _, lot in held], len(vouchers), door.now(), is_debt_taken_off=owes)
    )


def _card(
    card: Card, held: list[Lot], vouchers: int, at: datetime, *, is_debt_taken_off: bool
) -> CardView:
    """What is on the card at this instant: an expired lot counts no more, booked or not (R59)."""
    live = [lot for lot in held if lot.expires_at is None or lot.expires_at > at]
    usable = sum(lot.remaining for lot in live if lot.available_at <= at)
    owed = card.debt_points if is_debt_taken_off else 0
    return CardView(
        card_id=card.card_id,
        programme_id=card.programme_id,
        customer_id=card.customer_id,
        spendable_points=max(usable - owed, 0),
        pending_points=sum(lot.remaining for lot in live if lot.available_at > at),
        debt_points=card.debt_points,
        stamps=card.stamps,
        vouchers=vouchers,
        lots=[
            LotView(
                transaction_id=lot.lot_id,
                points=lot.remaining,
                available_at=lot.available_at,
                expires_at=lot.expires_at,
            )
            for lot in sorted(live, key=lambda lot: (lot.issued_at, lot.lot_id))
        ],
    )


def _event(body: _OfCard) -> Event:
    kind = _EVENTS[type(body)]
    try:
        return kind.model_validate(body.model_dump(exclude={"kind"}))
    except ValidationError as error:
        reason = str(error.errors(include_url=False, include_input=False)[0]["msg"])
        raise Problem("invalid", reason.removeprefix("Value error, ")) from None
