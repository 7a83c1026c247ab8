"""How Stripe counts, currency by currency."""

import pytest
from iso4217 import Currency

from billfleet_workers.adapters.stripe_money import (
    EXPONENTS,
    NotRepresentable,
    minimum_minor,
    to_stripe_amount,
)

DIFFERENT = {"MGA": 0, "ISK": 2, "UGX": 2}


@pytest.mark.parametrize("currency", sorted(EXPONENTS))
def test_exponent_is_that_of_iso_4217_unless_it_is_known_to_differ(currency: str) -> None:
    """R15, R16: one test per currency."""
    iso = Currency(currency).exponent
    assert iso is not None
    assert EXPONENTS[currency] == DIFFERENT.get(currency, iso)


@pytest.mark.parametrize("currency", sorted(EXPONENTS))
def test_a_hundred_whole_units_mean_the_same_money_on_both_sides(currency: str) -> None:
    """R16: one test per currency."""
    iso = Currency(currency).exponent
    assert iso is not None
    assert to_stripe_amount(100 * 10**iso, currency) == 100 * 10 ** EXPONENTS[currency]


@pytest.mark.parametrize(
    ("amount_minor", "currency", "amount"),
    [
        (2985, "USD", 2985),
        (500, "JPY", 500),
        (5120, "KWD", 5120),
        (150_00, "MGA", 150),
        (5, "ISK", 500),
        (5, "UGX", 500),
    ],
)
def test_amounts_are_converted_exactly(amount_minor: int, currency: str, amount: int) -> None:
    """R14, R16"""
    assert to_stripe_amount(amount_minor, currency) == amount


@pytest.mark.parametrize(
    ("amount_minor", "currency", "reason"),
    [
        (150_01, "MGA", "amount_not_representable"),
        (5124, "KWD", "amount_not_representable"),
        (100, "CLF", "currency_unsupported"),
        (100, "XAU", "currency_unsupported"),
        (100, "???", "currency_unsupported"),
    ],
)
def test_what_stripe_cannot_take_is_refused_and_never_rounded(
    amount_minor: int, currency: str, reason: str
) -> None:
    """R14, R16"""
    with pytest.raises(NotRepresentable, match=reason):
        to_stripe_amount(amount_minor, currency)


@pytest.mark.parametrize(
    ("currency", "minimum"),
    [("USD", 50), ("GBP", 30), ("JPY", 50), ("HUF", 17500), ("MGA", 100), ("ISK", 1), ("KWD", 10)],
)
def test_minimum_is_in_iso_minor_units(currency: str, minimum: int) -> None:
    """R18"""
    assert minimum_minor(currency) == minimum


@pytest.mark.parametrize("currency", sorted(EXPONENTS))
def test_minimum_can_be_charged(currency: str) -> None:
    """R18: one test per currency."""
    assert to_stripe_amount(minimum_minor(currency), currency) > 0
