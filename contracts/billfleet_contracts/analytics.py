"""The analytics family: what front ends count, and the reports that are made of it.

Built by front ends, sweeps and the reports worker; read by the analytics and reports workers and
by subscribers. An event is told apart by its source and the id that its source gave it. These
models must not know tenants, queues or tables.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, FiniteFloat, StringConstraints, model_validator

from billfleet_contracts.event import Event
from billfleet_contracts.fields import (
    AccountId,
    AmountMinor,
    Counter,
    Currency,
    DayDate,
    Printable128,
    UtcDatetime,
)

EventName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_.]{0,63}$")]
EventSource = Annotated[str, Field(pattern=r"^[a-z][a-z0-9._-]{0,63}$")]
PropertyName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_.]{0,63}$")]
PropertyText = Annotated[str, StringConstraints(max_length=4096)]
PropertyValue = bool | int | FiniteFloat | PropertyText | None
ReportName = Literal["business"]
ReportPeriod = Literal["day", "week", "month"]
ReportTitle = Annotated[str, Field(min_length=1, max_length=200)]


class EventTracked(Event):
    """Fact: something happened at a front end that a tenant wants counted.

    `event_id` is unique within `source` and for ever: the same pair twice is one event, and with
    other content it is a mistake of the source, which is kept aside and never counted. A brand that
    is left out is the store's at the moment of counting; one that is named stands, whatever the
    store's is.
    """

    TYPE: ClassVar[str] = "billfleet.analytics.event_tracked.v1"

    name: EventName
    event_id: Printable128
    source: EventSource = "app"
    occurred_at: UtcDatetime
    customer_id: AccountId | None = None
    brand_id: AccountId | None = None
    store_id: AccountId | None = None
    amount_minor: AmountMinor | None = None
    currency: Currency | None = None
    properties: Annotated[dict[PropertyName, PropertyValue], Field(max_length=64)] = Field(
        default_factory=dict
    )

    @model_validator(mode="after")
    def _amount_has_its_currency(self) -> Self:
        if (self.amount_minor is None) != (self.currency is None):
            raise ValueError("amount_minor and currency belong together")
        return self


class ReportRequested(Event):
    """Request: make this report of the period that begins on `first_day`, the tenant's own day.

    `as_of` gives the numbers as they were known at that instant; None: as known on handling.
    Another `request_no` asks for the same report once more.
    """

    TYPE: ClassVar[str] = "billfleet.analytics.report_requested.v1"

    report: ReportName = "business"
    period: ReportPeriod
    first_day: DayDate
    as_of: UtcDatetime | None = None
    request_no: Counter = 0


class ReportReady(Event):
    """Fact: a report lies in the object store as a file; one of these per contact that reads it."""

    TYPE: ClassVar[str] = "billfleet.analytics.report_ready.v1"

    report_id: Printable128
    file_id: Printable128
    contact_id: AccountId
    title: ReportTitle
    report: ReportName = "business"
    period: ReportPeriod
    first_day: DayDate
    last_day: DayDate
    as_of: UtcDatetime

    def subject(self) -> str | None:
        """The report."""
        return self.report_id

    def default_dedupe_key(self) -> str:
        """A contact is told of a report once."""
        return f"{self.short_name()}:{self.report_id}:{self.contact_id}"

    @model_validator(mode="after")
    def _days_are_in_order(self) -> Self:
        if self.first_day > self.last_day:
            raise ValueError("first_day is after last_day")
        return self
