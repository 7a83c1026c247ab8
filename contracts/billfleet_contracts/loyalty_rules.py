"""A loyalty programme's rules as data: what earns, how much, when it counts and when it ends.

Carried by `SetProgramme`, kept by the database as JSON, and read by the loyalty worker and the
dry run. Every number is an integer and every rounding is named, so that two readers compute the
same. It must not know any card.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from billfleet_contracts.fields import (
    AccountId,
    AmountMinor,
    Counter,
    Currency,
    UtcDatetime,
)

Rounding = Literal["floor", "half_up", "ceiling"]
DebtPolicy = Literal["negative_balance", "receivable"]

_CLOSED = ConfigDict(defer_build=True, frozen=True, extra="forbid", strict=True)

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._-]{0,63}$")]
PointsCount = Annotated[int, Field(ge=1, le=1_000_000_000)]
Percent = Annotated[int, Field(ge=0, le=10_000)]
Weekday = Annotated[int, Field(ge=1, le=7)]


class Earning(BaseModel):
    """How a purchase earns: `points` for each `per_minor` of its currency, rounded once (R66).

    `earns_on_redeemed`: whether the part that was paid with points or vouchers earns as well.
    """

    model_config = _CLOSED

    points: PointsCount = 1
    per_minor: Annotated[int, Field(ge=1, le=1_000_000_000)]
    currency: Currency
    rounding: Rounding = "floor"
    minimum_spend_minor: AmountMinor = 0
    cap_per_day: PointsCount | None = None
    earns_on_redeemed: bool = False


class Multiplier(BaseModel):
    """Multiplies what is earned where all of its conditions hold; an empty one always holds.

    `weekdays` are ISO days (1 is Monday) in the tenant's zone. A campaign is a multiplier with
    `starts_at` and `ends_at`: it holds from the first instant and no longer at the second.
    """

    model_config = _CLOSED

    name: Name
    percent: Percent
    stores: Annotated[tuple[AccountId, ...], Field(strict=False)] = ()
    weekdays: Annotated[tuple[Weekday, ...], Field(strict=False)] = ()
    tiers: Annotated[tuple[Name, ...], Field(strict=False)] = ()
    starts_at: UtcDatetime | None = None
    ends_at: UtcDatetime | None = None


class Stamps(BaseModel):
    """A stamp card: each visit gives `per_visit`, each full card of `size` gives the reward."""

    model_config = _CLOSED

    size: Annotated[int, Field(ge=1, le=1000)]
    reward_id: AccountId
    per_visit: Annotated[int, Field(ge=1, le=1000)] = 1


class Tier(BaseModel):
    """A level that a card has while it has earned `threshold` points within the window."""

    model_config = _CLOSED

    name: Name
    threshold: PointsCount


class Tiers(BaseModel):
    """Levels and the days over which points count towards them. Pending points don't (R67)."""

    model_config = _CLOSED

    window_days: Annotated[int, Field(ge=1, le=3660)]
    levels: Annotated[tuple[Tier, ...], Field(min_length=1, max_length=20, strict=False)]

    @model_validator(mode="after")
    def _levels_rise(self) -> Self:
        thresholds = [level.threshold for level in self.levels]
        if sorted(set(thresholds)) != thresholds:
            raise ValueError("the thresholds of the levels must rise")
        return self


class Expiry(BaseModel):
    """How long points live: to the end of the day so many months or days later, tenant's zone."""

    model_config = _CLOSED

    months: Annotated[int, Field(ge=0, le=600)] = 0
    days: Annotated[int, Field(ge=0, le=20_000)] = 0

    @model_validator(mode="after")
    def _lasts(self) -> Self:
        if not self.months and not self.days:
            raise ValueError("say months or days; leave `expiry` out for points that never expire")
        return self


class ProgrammeRules(BaseModel):
    """All rules of one version of a programme.

    Attributes:
        earning: what purchases earn; without it they earn nothing.
        multipliers: applied to what is earned.
        stacking: `multiply` takes all that hold, `best` only the largest.
        stamps: the stamp card, if there is one.
        tiers: the levels, if there are any.
        expiry: when points end; without it never.
        pending_days: how long after a purchase its points are not yet spendable (R67).
        burn_priority: lots with a smaller number are spent first (R57).
        debt: what becomes of points that were spent before their purchase was returned (R62):
            the balance goes below zero, or they are owed beside it. Both are recovered.
        grace_days: points that come back to a lot which has expired meanwhile live so long
            again; 0 lets them expire at once (R61).
    """

    model_config = _CLOSED

    earning: Earning | None = None
    multipliers: Annotated[tuple[Multiplier, ...], Field(max_length=100, strict=False)] = ()
    stacking: Literal["multiply", "best"] = "multiply"
    stamps: Stamps | None = None
    tiers: Tiers | None = None
    expiry: Expiry | None = None
    pending_days: Annotated[int, Field(ge=0, le=3660)] = 0
    burn_priority: Counter = 100
    debt: DebtPolicy = "receivable"
    grace_days: Annotated[int, Field(ge=0, le=3660)] = 0
