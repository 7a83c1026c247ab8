"""The rules engine: what a purchase earns, and that it can say why."""

from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from billfleet_contracts import (
    Earning,
    Expiry,
    Multiplier,
    ProgrammeRules,
    Rounding,
    Tier,
    Tiers,
)
from billfleet_workers.handlers.loyalty_points.earning import (
    Basis,
    Standing,
    TooManyPoints,
    earn,
    expires_at,
    points_for,
    rounded,
    tier_of,
)

SATURDAY = datetime(2026, 3, 7, 12, tzinfo=UTC)
EUR = Earning(points=1, per_minor=100, currency="EUR")


def standing(**changes: object) -> Standing:
    given: dict[str, object] = {"store_id": "s1", "occurred_at": SATURDAY, "time_zone": "UTC"}
    return Standing(**given | changes)  # type: ignore[arg-type]


def points(rules: ProgrammeRules, amount_minor: int, **changes: object) -> int:
    return earn(rules, amount_minor, 0, standing(**changes)).points


@pytest.mark.parametrize(("mode", "expected"), [("floor", 2), ("half_up", 3), ("ceiling", 3)])
def test_the_rounding_mode_is_the_programmes(mode: Rounding, expected: int) -> None:
    """R66: floor unless it is said otherwise."""
    assert rounded(Fraction(5, 2), mode) == expected
    assert rounded(Fraction(2), mode) == 2
    earning = EUR.model_copy(update={"rounding": mode})
    assert points(ProgrammeRules(earning=earning), 250) == expected
    assert points(ProgrammeRules(earning=EUR), 299) == 2


def test_what_was_paid_with_points_earns_nothing_unless_it_is_said() -> None:
    """R66."""
    plain = ProgrammeRules(earning=EUR)
    generous = ProgrammeRules(earning=EUR.model_copy(update={"earns_on_redeemed": True}))
    assert earn(plain, 1000, 400, standing()).points == 6
    assert earn(generous, 1000, 400, standing()).points == 10
    assert earn(plain, 1000, 1000, standing()).points == 0


def test_multipliers_hold_by_store_day_tier_and_campaign() -> None:
    rules = ProgrammeRules(
        earning=EUR,
        multipliers=(
            Multiplier(name="store", percent=200, stores=("s1",)),
            Multiplier(name="weekend", percent=150, weekdays=(6, 7)),
            Multiplier(name="gold", percent=300, tiers=("gold",)),
            Multiplier(
                name="campaign",
                percent=500,
                starts_at=SATURDAY + timedelta(days=1),
                ends_at=SATURDAY + timedelta(days=2),
            ),
        ),
    )
    monday = SATURDAY + timedelta(days=2)
    assert points(rules, 1000) == 30
    assert points(rules, 1000, store_id="s2") == 15
    assert points(rules, 1000, store_id=None, occurred_at=monday) == 10
    assert points(rules, 1000, tier="gold", store_id=None, occurred_at=monday) == 30
    sunday = SATURDAY + timedelta(days=1)
    assert points(rules, 1000, store_id=None, occurred_at=sunday) == 75
    best = rules.model_copy(update={"stacking": "best"})
    assert points(best, 1000) == 20
    assert points(best, 1000, tier="gold") == 30


def test_the_weekday_is_the_tenants() -> None:
    rules = ProgrammeRules(
        earning=EUR, multipliers=(Multiplier(name="sunday", percent=200, weekdays=(7,)),)
    )
    late = datetime(2026, 3, 7, 16, tzinfo=UTC)
    assert points(rules, 1000, occurred_at=late) == 10
    assert points(rules, 1000, occurred_at=late, time_zone="Asia/Tokyo") == 20


def test_a_minimum_and_a_cap_bound_what_is_earned() -> None:
    earning = EUR.model_copy(update={"minimum_spend_minor": 500, "cap_per_day": 20})
    rules = ProgrammeRules(earning=earning)
    assert [points(rules, amount) for amount in (499, 500, 2500)] == [0, 5, 20]
    assert points(rules, 2500, earned_today=15) == 5
    assert points(rules, 2500, earned_today=25) == 0


def test_rounding_happens_once_after_all_multipliers() -> None:
    halves = tuple(Multiplier(name=f"m{n}", percent=150) for n in range(2))
    assert points(ProgrammeRules(earning=EUR, multipliers=halves), 100) == 2
    assert points(ProgrammeRules(earning=EUR, multipliers=halves), 180) == 4


def test_each_step_says_which_rule_gave_what() -> None:
    rules = ProgrammeRules(
        earning=EUR.model_copy(update={"cap_per_day": 12}),
        multipliers=(Multiplier(name="weekend", percent=150, weekdays=(6,)),),
    )
    earned = earn(rules, 1000, 100, standing())
    assert earned.steps == (
        "100 was paid with points and earns nothing: 900 is left",
        "weekend: x 150 %",
        "900 at 1 per 100 EUR minor units, floor: 12 (the day's cap leaves 12)",
    )
    assert earn(ProgrammeRules(), 1000, 0, standing()).steps == (
        "the programme has no rule for purchases",
    )


def test_more_points_than_can_be_counted_are_refused() -> None:
    rules = ProgrammeRules(earning=Earning(points=10**9, per_minor=1, currency="EUR"))
    with pytest.raises(TooManyPoints):
        points(rules, 10**6)


@given(
    amount=st.integers(0, 10**6),
    redeemed=st.integers(0, 10**6),
    per_minor=st.integers(1, 1000),
    mode=st.sampled_from(["floor", "half_up", "ceiling"]),
    minimum=st.integers(0, 5000),
    cap=st.none() | st.integers(1, 500),
    percent=st.integers(0, 400),
    cuts=st.lists(st.integers(0, 10**6), max_size=6),
)
def test_any_partial_refunds_add_up_to_the_full_one(
    amount: int,
    redeemed: int,
    per_minor: int,
    mode: Rounding,
    minimum: int,
    cap: int | None,
    percent: int,
    cuts: list[int],
) -> None:
    """R64: the rule is applied to what remains, which never grows, and ends at nothing."""
    earning = Earning(
        per_minor=per_minor,
        currency="EUR",
        rounding=mode,
        minimum_spend_minor=minimum,
        cap_per_day=cap,
    )
    rules = ProgrammeRules(earning=earning, multipliers=(Multiplier(name="m", percent=percent),))
    earned = earn(rules, amount, min(redeemed, amount), standing())
    basis = Basis.from_json(earned.basis.as_json())
    assert basis == earned.basis
    lefts = [max(0, basis.eligible_minor - cut) for cut in sorted(min(c, amount) for c in cuts)]
    kept = [earned.points, *(points_for(earning, basis, left) for left in lefts), 0]
    assert kept == sorted(kept, reverse=True)
    assert sum(a - b for a, b in pairwise(kept)) == earned.points
    assert points_for(earning, basis, 0) == 0


def test_the_tier_is_the_highest_that_is_reached() -> None:
    tiers = Tiers(
        window_days=365,
        levels=(Tier(name="silver", threshold=10), Tier(name="gold", threshold=100)),
    )
    assert [tier_of(tiers, n) for n in (9, 10, 99, 100)] == [None, "silver", "silver", "gold"]
    assert tier_of(None, 1000) is None


def test_points_live_to_the_end_of_a_day_of_the_tenants_zone() -> None:
    """R59: months are the calendar's, clamped; days across a change of the clocks are days."""
    months = ProgrammeRules(expiry=Expiry(months=1))
    end_of_january = datetime(2026, 1, 31, 12, tzinfo=UTC)
    assert expires_at(months, end_of_january, "UTC") == datetime(2026, 3, 1, tzinfo=UTC)
    days = ProgrammeRules(expiry=Expiry(days=30))
    assert expires_at(days, SATURDAY, "America/New_York") == datetime(2026, 4, 7, 4, tzinfo=UTC)
    assert expires_at(ProgrammeRules(), SATURDAY, "UTC") is None


def test_rules_that_contradict_themselves_are_refused() -> None:
    with pytest.raises(ValidationError, match="must rise"):
        Tiers(
            window_days=1,
            levels=(Tier(name="a", threshold=5), Tier(name="b", threshold=5)),
        )
    with pytest.raises(ValidationError, match="say months or days"):
        Expiry()
    assert date.fromisoformat("2026-03-07").isoweekday() == 6
