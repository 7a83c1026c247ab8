"""What a purchase or a visit earns under a programme's rules, and why. Pure.

The handler and the dry run call it with the rules as data. There is one rounding, at the end of
all multiplications, in the programme's own mode. Each step says in words what it did. It knows no
card beyond the few figures that it is given.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from fractions import Fraction
from typing import Self

from billfleet_contracts import Earning, Multiplier, ProgrammeRules, Rounding, Tiers
from billfleet_workers.dates import ONE_DAY, local_today, next_period, zone_of

POINTS_MAX = 10**12
"""Of one purchase: so many purchases fit a card that no sum overflows."""


class TooManyPoints(ValueError):
    """The rules turn this purchase into more points than can be counted. Correct the rules."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What the rules look at besides the purchase itself."""

    store_id: str | None
    occurred_at: datetime
    time_zone: str
    tier: str | None = None
    earned_today: int = 0

    @property
    def day(self) -> date:
        """The tenant's day on which it happened."""
        return local_today(self.occurred_at, self.time_zone)


@dataclass(frozen=True, slots=True)
class Basis:
    """What decided how much was earned; kept, so that partial cancellations compute the same."""

    eligible_minor: int
    factor: Fraction
    cap_left: int | None

    def as_json(self) -> dict[str, object]:
        """For the transaction's row."""
        return {
            "eligible_minor": self.eligible_minor,
            "factor": [self.factor.numerator, self.factor.denominator],
            "cap_left": self.cap_left,
        }

    @classmethod
    def from_json(cls, kept: Mapping[str, object]) -> Self:
        """From the transaction's row."""
        eligible, factor, cap = kept["eligible_minor"], kept["factor"], kept["cap_left"]
        if not isinstance(eligible, int) or not isinstance(factor, list):
            raise TypeError("the transaction's basis is not as this program wrote it")
        return cls(eligible, Fraction(*factor), cap if isinstance(cap, int) else None)


@dataclass(frozen=True, slots=True)
class Earned:
    """Points, what they rest on, and each rule's part in words."""

    points: int
    basis: Basis
    steps: tuple[str, ...]


def earn(
    rules: ProgrammeRules, amount_minor: int, redeemed_minor: int, standing: Standing
) -> Earned:
    """The points of a purchase (R66).

    Raises:
        TooManyPoints: more than can be counted.
    """
    earning = rules.earning
    if earning is None:
        return Earned(0, Basis(0, Fraction(0), None), ("the programme has no rule for purchases",))
    steps: list[str] = []
    eligible = amount_minor
    if redeemed_minor and not earning.earns_on_redeemed:
        eligible -= redeemed_minor
        steps.append(f"{redeemed_minor} was paid with points and earns nothing: {eligible} is left")
    factor, named = _factor(rules, standing)
    steps += named
    cap_left = None
    if earning.cap_per_day is not None:
        cap_left = max(0, earning.cap_per_day - standing.earned_today)
    basis = Basis(eligible, factor, cap_left)
    points = points_for(earning, basis, eligible)
    steps.append(_said(earning, basis, points))
    return Earned(points, basis, tuple(steps))


def points_for(earning: Earning, basis: Basis, eligible_minor: int) -> int:
    """The one formula: what so much of the purchase earns, on the basis of that purchase (R64)."""
    if eligible_minor < max(earning.minimum_spend_minor, 1):
        return 0
    exact = Fraction(eligible_minor * earning.points, earning.per_minor) * basis.factor
    points = rounded(exact, earning.rounding)
    if basis.cap_left is not None:
        points = min(points, basis.cap_left)
    if points > POINTS_MAX:
        raise TooManyPoints(f"{points} points are more than {POINTS_MAX}")
    return points


def rounded(exact: Fraction, mode: Rounding) -> int:
    """A whole number of points, in the named mode."""
    match mode:
        case "floor":
            return exact.numerator // exact.denominator
        case "ceiling":
            return -(-exact.numerator // exact.denominator)
        case "half_up":
            return (2 * exact.numerator + exact.denominator) // (2 * exact.denominator)


def tier_of(tiers: Tiers | None, qualifying: int) -> str | None:
    """The highest level whose threshold is reached."""
    if tiers is None:
        return None
    reached = [level.name for level in tiers.levels if qualifying >= level.threshold]
    return reached[-1] if reached else None


def expires_at(rules: ProgrammeRules, occurred_at: datetime, time_zone: str) -> datetime | None:
    """The first instant of the day after the last one on which the points live; None: never."""
    if rules.expiry is None:
        return None
    day = local_today(occurred_at, time_zone)
    if rules.expiry.months:
        day = next_period(day, day.day, rules.expiry.months)
    return midnight(day + timedelta(days=rules.expiry.days) + ONE_DAY, time_zone)


def midnight(day: date, time_zone: str) -> datetime:
    """When the day begins in the zone, in UTC."""
    return datetime.combine(day, time(), zone_of(time_zone)).astimezone(UTC)


def _factor(rules: ProgrammeRules, standing: Standing) -> tuple[Fraction, Sequence[str]]:
    holding = [one for one in rules.multipliers if _holds(one, standing)]
    if not holding:
        return Fraction(1), ()
    if rules.stacking == "best":
        best = max(holding, key=lambda one: one.percent)
        return Fraction(best.percent, 100), [
            f"{best.name}: x {best.percent} %, the best that holds"
        ]
    factor = Fraction(1)
    for one in holding:
        factor *= Fraction(one.percent, 100)
    return factor, [f"{one.name}: x {one.percent} %" for one in holding]


def _holds(rule: Multiplier, standing: Standing) -> bool:
    return (
        (not rule.stores or standing.store_id in rule.stores)
        and (not rule.weekdays or standing.day.isoweekday() in rule.weekdays)
        and (not rule.tiers or standing.tier in rule.tiers)
        and (rule.starts_at is None or rule.starts_at <= standing.occurred_at)
        and (rule.ends_at is None or standing.occurred_at < rule.ends_at)
    )


def _said(earning: Earning, basis: Basis, points: int) -> str:
    if basis.eligible_minor < max(earning.minimum_spend_minor, 1):
        return f"{basis.eligible_minor} is below the minimum of {earning.minimum_spend_minor}"
    rate = f"{earning.points} per {earning.per_minor} {earning.currency} minor units"
    said = f"{basis.eligible_minor} at {rate}, {earning.rounding}: {points}"
    if basis.cap_left is not None and points == basis.cap_left:
        said += f" (the day's cap leaves {basis.cap_left})"
    return said
