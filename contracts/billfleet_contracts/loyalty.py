"""The loyalty family: what changes a card, and what the fleet tells of it.

Built by points of sale and front ends, read by the loyalty worker and subscribers. Everything
that moves points or stamps has a transaction id that its sender chose: that id makes two of them
the same work. These models must not know tenants, queues or tables.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from billfleet_contracts.event import Event
from billfleet_contracts.fields import (
    AccountId,
    AmountMinor,
    AttemptNo,
    Currency,
    DayDate,
    Printable128,
    UtcDatetime,
)
from billfleet_contracts.loyalty_rules import ProgrammeRules

CardId = AccountId
TransactionId = AccountId
Quantity = Annotated[int, Field(ge=1, le=2**53 - 1)]
Points = Annotated[int, Field(ge=0, le=2**53 - 1)]


class _OfCard(Event):
    """Requests about a card: the card orders them, the transaction id tells them apart."""

    card_id: CardId
    transaction_id: TransactionId
    occurred_at: UtcDatetime

    def subject(self) -> str | None:
        """The card."""
        return self.card_id

    def default_dedupe_key(self) -> str:
        """The sender's transaction id, whatever is asked for under it."""
        return f"loyalty:{self.transaction_id}"


class IssueStamps(_OfCard):
    """Request: stamp a card for so many visits; the programme says how many stamps that is."""

    TYPE: ClassVar[str] = "billfleet.loyalty.issue_stamps.v1"

    store_id: AccountId | None = None
    visits: Annotated[int, Field(ge=1, le=1000)] = 1


class AddPoints(_OfCard):
    """Request: credit a purchase to a card. `redeemed_minor` of it was paid with points."""

    TYPE: ClassVar[str] = "billfleet.loyalty.add_points.v1"

    amount_minor: AmountMinor
    currency: Currency
    store_id: AccountId | None = None
    redeemed_minor: AmountMinor = 0

    @model_validator(mode="after")
    def _redeemed_is_a_part(self) -> Self:
        if self.redeemed_minor > self.amount_minor:
            raise ValueError("redeemed_minor is more than amount_minor")
        return self


class RedeemReward(_OfCard):
    """Request: exchange points, or a voucher from a full stamp card, for a reward."""

    TYPE: ClassVar[str] = "billfleet.loyalty.redeem_reward.v1"

    reward_id: AccountId
    pay_with: Literal["points", "voucher"] = "points"
    store_id: AccountId | None = None


class CancelTransaction(_OfCard):
    """Request: take back a transaction of the card, or a part of it.

    `quantity` counts what the cancelled transaction counts: minor units of a purchase, points of
    a redemption, stamps of a visit. None: all that is not cancelled yet.
    """

    TYPE: ClassVar[str] = "billfleet.loyalty.cancel_transaction.v1"

    cancels: TransactionId
    quantity: Quantity | None = None


class SetProgramme(Event):
    """Request: from `valid_from` on, purchases of the programme follow these rules."""

    TYPE: ClassVar[str] = "billfleet.loyalty.set_programme.v1"

    programme_id: AccountId
    version: AttemptNo
    valid_from: UtcDatetime
    rules: ProgrammeRules

    def subject(self) -> str | None:
        """The programme."""
        return f"programme:{self.programme_id}"

    def default_dedupe_key(self) -> str:
        """A version of a programme is set once."""
        return f"set_programme:{self.programme_id}:{self.version}"


class ProjectTransactions(Event):
    """Request: bring these transactions of one tenant into the table that front ends look them up
    in. What they say is read on handling.
    """

    TYPE: ClassVar[str] = "billfleet.loyalty.project_transactions.v1"

    transaction_ids: Annotated[
        tuple[Printable128, ...], Field(min_length=1, max_length=500, strict=False)
    ]


class _FactOfCard(Event):
    """Facts about a card, after which nothing of the transaction is open."""

    card_id: CardId
    transaction_id: TransactionId
    occurred_at: UtcDatetime

    def subject(self) -> str | None:
        """The card."""
        return self.card_id

    def default_dedupe_key(self) -> str:
        """A transaction comes to one end."""
        return f"{self.short_name()}:{self.transaction_id}"


class PointsIssued(_FactOfCard):
    """Fact: a purchase was credited; from `available_at` on its points can be spent."""

    TYPE: ClassVar[str] = "billfleet.loyalty.points_issued.v1"

    points: Points
    recovered: Points = 0
    available_at: UtcDatetime
    expires_at: UtcDatetime | None = None
    rules_version: AttemptNo


class StampsIssued(_FactOfCard):
    """Fact: a card was stamped; `vouchers` full cards were exchanged for the reward."""

    TYPE: ClassVar[str] = "billfleet.loyalty.stamps_issued.v1"

    stamps: Quantity
    vouchers: Annotated[int, Field(ge=0, le=1_000_000)]
    reward_id: AccountId


class PointsRedeemed(_FactOfCard):
    """Fact: a reward was handed out for so many points; none where a voucher paid."""

    TYPE: ClassVar[str] = "billfleet.loyalty.points_redeemed.v1"

    reward_id: AccountId
    points: Points


class PointsReversed(_FactOfCard):
    """Fact: a transaction was cancelled, wholly or in part.

    Of an earning: `taken` came off its lot, `owed` had been spent and is a debt now, `void` had
    expired already. Of a redemption: `returned` came back. Of stamps: `stamps` were taken back.
    """

    TYPE: ClassVar[str] = "billfleet.loyalty.points_reversed.v1"

    cancels: TransactionId
    taken: Points = 0
    owed: Points = 0
    void: Points = 0
    returned: Points = 0
    expired: Points = 0
    stamps: Points = 0
    is_final: bool


class PointsExpired(Event):
    """Fact: what was left of a lot has expired; `lot` is the transaction that issued it."""

    TYPE: ClassVar[str] = "billfleet.loyalty.points_expired.v1"

    card_id: CardId
    lot: TransactionId
    points: Quantity
    expired_at: UtcDatetime

    def subject(self) -> str | None:
        """The card."""
        return self.card_id

    def default_dedupe_key(self) -> str:
        """A lot expires once."""
        return f"points_expired:{self.lot}"


class PointsExpiring(Event):
    """Fact: points of a card end soon; told once for each warning that the programme has.

    `expires_on` is the tenant's last day on which they can be spent, `expires_at` the instant at
    which they no longer can. `warn_days` is the warning: the points end within so many days.
    """

    TYPE: ClassVar[str] = "billfleet.loyalty.points_expiring.v1"

    card_id: CardId
    customer_id: AccountId
    programme_id: AccountId
    points: Quantity
    expires_on: DayDate
    expires_at: UtcDatetime
    warn_days: Annotated[int, Field(ge=1, le=3660)]

    def subject(self) -> str | None:
        """The card."""
        return self.card_id

    def default_dedupe_key(self) -> str:
        """A card is warned once of an expiry, in each of the programme's windows."""
        return f"points_expiring:{self.card_id}:{self.expires_at:%Y%m%dT%H%M%SZ}:{self.warn_days}"


class LoyaltyRefused(_FactOfCard):
    """Fact: a transaction was refused and changed nothing; its id is used up."""

    TYPE: ClassVar[str] = "billfleet.loyalty.loyalty_refused.v1"

    reason: Annotated[str, Field(pattern=r"^[a-z_]{1,64}$")]
