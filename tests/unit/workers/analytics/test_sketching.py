"""Sketches: merged in any order they say the same, and their stated errors hold."""

import random

import pytest

from billfleet_workers.handlers.analytics.sketching import (
    AMOUNTS_ERROR,
    CUSTOMERS_ERROR,
    Crowd,
    Spread,
    amounts_sketch,
    customers_sketch,
)


def _crowd(*sketches: bytes) -> int:
    crowd = Crowd()
    for sketch in sketches:
        crowd.merge(sketch)
    return crowd.customers


def test_merging_is_associative_and_commutative() -> None:
    """R77"""
    chance = random.Random(77)
    parts = [[f"c-{chance.randrange(3000)}" for _ in range(700)] for _ in range(8)]
    people = [customers_sketch(part) for part in parts]
    amounts = [amounts_sketch(len(name) * 37 for name in part) for part in parts]
    seen = set()
    for _ in range(20):
        chance.shuffle(people)
        chance.shuffle(amounts)
        pair = Spread()
        pair.merge(amounts[0])
        pair.merge(amounts[1])
        spread = Spread()
        for sketch in (*amounts[2:], pair.to_bytes()):
            spread.merge(sketch)
        seen.add((_crowd(*people), spread.to_bytes()))
    assert len(seen) == 1


def test_24_hours_of_200_000_customers_merge_within_the_stated_error() -> None:
    """R77: three standard errors are exceeded once in 370 times; these customers are always the
    same, so this either holds or does not."""
    chance = random.Random(24)
    hours: list[list[str]] = [[] for _ in range(24)]
    for number in range(200_000):
        for hour in chance.sample(range(24), 1 + number % 2):
            hours[hour].append(f"customer-{number}")
    sketches = [customers_sketch(hour) for hour in hours]
    assert max(map(len, sketches)) < 4200
    assert _crowd(*sketches) == pytest.approx(200_000, rel=3 * CUSTOMERS_ERROR)


def test_few_customers_are_counted_exactly() -> None:
    """R77"""
    for number in (0, 1, 7, 100):
        assert _crowd(customers_sketch(f"c-{n}" for n in range(number))) == number


def test_quantiles_are_right_in_the_tail_of_a_heavy_tailed_shop() -> None:
    """R77: p99.9 of a Pareto, where a rank error of 1.33 % would read anything."""
    chance = random.Random(99)
    amounts = sorted(round(500 * chance.paretovariate(1.2)) for _ in range(50_000))
    spread = Spread()
    for start in range(0, len(amounts), 5000):
        spread.merge(amounts_sketch(amounts[start : start + 5000]))
    shares = (0.5, 0.9, 0.99, 0.999)
    for share, found in zip(shares, spread.quantiles_minor(shares), strict=True):
        true = amounts[int(share * (len(amounts) - 1))]
        assert found == pytest.approx(true, rel=AMOUNTS_ERROR + 1e-3)


def test_nothing_has_no_quantile_and_zeros_are_amounts() -> None:
    assert Spread().quantiles_minor((0.5,)) == [None]
    spread = Spread()
    spread.add([0, 0, 0, 100])
    assert spread.quantiles_minor((0.5,)) == [0]


def test_quantiles_of_equal_amounts_are_that_amount() -> None:
    spread = Spread()
    spread.merge(amounts_sketch([2990, 2990]))
    spread.add([2990])
    assert spread.quantiles_minor((0.0, 0.5, 0.95, 1.0)) == [2990] * 4
