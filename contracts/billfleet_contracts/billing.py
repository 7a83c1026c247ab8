"""The billing family: what asks for rebilling and collection, and what they announce.

Built by the sweep, the handlers, webhooks and front ends; read by the workers and subscribers.
These models must not know tenants, queues or tables.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from billfleet_contracts.event import Event, short_digest
from billfleet_contracts.fields import (
    AccountId,
    AmountMinor,
    AttemptKey,
    AttemptNo,
    Counter,
    Currency,
    DayDate,
    DeclineCode,
    GatewayName,
    GatewayReference,
    RowId,
    UtcDatetime,
)

AccountState = Literal["PENDING", "ACTIVE", "PAST_DUE", "INACTIVE"]

_CLOSED = ConfigDict(defer_build=True, frozen=True, extra="forbid", strict=True)


class AccountPeriod(BaseModel):
    """One period of one account, named by the day on which it starts.

    `generation` counts how often the account's schedule was reset; a message of an older
    generation is stale.
    """

    model_config = _CLOSED

    account_id: AccountId
    period_start: DayDate
    generation: Counter = 0


class RebillAccounts(Event):
    """Request: bill these periods, all of one tenant; price and plan are read on handling."""

    TYPE: ClassVar[str] = "billfleet.billing.rebill_accounts.v1"

    as_of: DayDate
    accounts: Annotated[
        tuple[AccountPeriod, ...], Field(min_length=1, max_length=100, strict=False)
    ]


class ChargeRef(BaseModel):
    """One bill to collect, and which attempt at it is meant.

    `check_no` tells repeated questions about the same unresolved attempt apart.
    """

    model_config = _CLOSED

    account_id: AccountId
    period_start: DayDate
    attempt_no: AttemptNo
    check_no: Counter = 0


class CollectPayments(Event):
    """Request: collect these bills, all of one tenant, through the payment gateway."""

    TYPE: ClassVar[str] = "billfleet.billing.collect_payments.v1"

    charges: Annotated[tuple[ChargeRef, ...], Field(min_length=1, max_length=100, strict=False)]


class PaymentReported(Event):
    """Request: take in what a gateway's webhook said about an attempt."""

    TYPE: ClassVar[str] = "billfleet.billing.payment_reported.v1"

    gateway: GatewayName
    gateway_event_id: GatewayReference
    attempt_key: AttemptKey
    result: Literal["succeeded", "declined"]
    gateway_reference: GatewayReference | None = None
    decline_code: DeclineCode | None = None
    occurred_at: UtcDatetime

    def default_dedupe_key(self) -> str:
        """A gateway's event is the same however often its webhook calls."""
        return f"{self.short_name()}:{short_digest([self.gateway, self.gateway_event_id])}"


class AccountRebilled(Event):
    """Fact: a period was charged to the ledger and the account's next date was set."""

    TYPE: ClassVar[str] = "billfleet.billing.account_rebilled.v1"

    account_id: AccountId
    period_start: DayDate
    period_end: DayDate
    amount_minor: AmountMinor
    currency: Currency
    next_period_on: DayDate
    transfer_id: RowId

    def subject(self) -> str | None:
        """The account."""
        return self.account_id

    def default_dedupe_key(self) -> str:
        """A period of an account is billed once."""
        return f"rebilled:{self.account_id}:{self.period_start}"

    @model_validator(mode="after")
    def _dates_are_in_order(self) -> Self:
        if not self.period_start <= self.period_end < self.next_period_on:
            raise ValueError("period_start, period_end and next_period_on are out of order")
        return self


class PaymentSucceeded(Event):
    """Fact: a bill was paid, and the payment is in the ledger."""

    TYPE: ClassVar[str] = "billfleet.billing.payment_succeeded.v1"

    account_id: AccountId
    period_start: DayDate
    attempt_no: AttemptNo
    amount_minor: AmountMinor
    currency: Currency
    gateway: GatewayName
    gateway_reference: GatewayReference | None = None
    transfer_id: RowId

    def subject(self) -> str | None:
        """The account."""
        return self.account_id

    def default_dedupe_key(self) -> str:
        """The ledger row is the fact: a payment corrected later is another row."""
        return f"payment_succeeded:{self.account_id}:{self.transfer_id}"


class PaymentFailed(Event):
    """Fact: the gateway declined an attempt. `next_attempt_at` is None when none will follow."""

    TYPE: ClassVar[str] = "billfleet.billing.payment_failed.v1"

    account_id: AccountId
    period_start: DayDate
    attempt_no: AttemptNo
    amount_minor: AmountMinor
    currency: Currency
    gateway: GatewayName
    decline_code: DeclineCode
    decline_kind: Literal["soft", "hard"]
    next_attempt_at: UtcDatetime | None = None
    account_state: AccountState

    def subject(self) -> str | None:
        """The account."""
        return self.account_id

    def default_dedupe_key(self) -> str:
        """An attempt fails once."""
        return f"payment_failed:{self.account_id}:{self.period_start}:{self.attempt_no}"
