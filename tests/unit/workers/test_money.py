"""Minor units, exactly."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billfleet_workers.money import (
    MINOR_MAX,
    AmountNotExact,
    AmountOutOfRange,
    MoneyError,
    UnknownCurrency,
    exponent,
    exponents,
    format_minor,
    parse_minor,
    split_minor,
)

currencies = st.sampled_from(sorted(exponents()))


@pytest.mark.parametrize(
    ("currency", "decimals"),
    [("USD", 2), ("EUR", 2), ("JPY", 0), ("KWD", 3), ("CLF", 4), ("UYW", 4), ("ISK", 0)],
)
def test_exponents_are_those_of_iso_4217(currency: str, decimals: int) -> None:
    """R15."""
    assert exponent(currency) == decimals


@pytest.mark.parametrize(
    "currency",
    ["AFN", "ALL", "IRR", "KPW", "LAK", "LBP", "MGA", "MMK", "RSD", "SOS", "SYP", "YER"],
)
def test_currencies_that_display_libraries_show_without_decimals_still_have_two(
    currency: str,
) -> None:
    """R15: ISO 4217 and not CLDR; IQD, the thirteenth, has three."""
    assert exponent(currency) == 2
    assert exponent("IQD") == 3


@pytest.mark.parametrize("currency", ["XAU", "XXX", "XTS", "usd", "US", "", "ABC"])
def test_a_code_that_money_is_not_counted_in_is_refused(currency: str) -> None:
    with pytest.raises(UnknownCurrency, match=repr(currency)):
        exponent(currency)


@pytest.mark.parametrize(
    ("text", "currency", "amount_minor"),
    [
        ("29.85", "USD", 2985),
        ("1889.5", "USD", 188950),
        ("0", "USD", 0),
        ("007", "USD", 700),
        ("500", "JPY", 500),
        ("1.234", "KWD", 1234),
        ("-1.5", "EUR", -150),
        (" 12.00 ", "USD", 1200),
        ("92233720368547758.07", "USD", MINOR_MAX),
    ],
)
def test_decimal_text_becomes_minor_units(text: str, currency: str, amount_minor: int) -> None:
    """R14: integers, and no float on the way (29.85 is not a binary fraction)."""
    assert parse_minor(text, currency) == amount_minor


@pytest.mark.parametrize(
    ("text", "currency"), [("1.234", "USD"), ("1.000", "USD"), ("1.0", "JPY"), ("1.00001", "CLF")]
)
def test_more_decimals_than_the_currency_has_are_refused(text: str, currency: str) -> None:
    """R14: nothing is rounded in silence."""
    with pytest.raises(AmountNotExact, match=currency):
        parse_minor(text, currency)


@pytest.mark.parametrize(
    "text",
    ["", ".", "1.", ".5", "1,5", "1,000.00", "1e3", "NaN", "inf", "+1", "--1", "1_000", "٣", "1 2",
     "0x10", "$5"],
)  # fmt: skip
def test_text_that_is_no_plain_decimal_is_refused(text: str) -> None:
    with pytest.raises(AmountNotExact, match="plain decimal"):
        parse_minor(text, "USD")


@pytest.mark.parametrize("text", ["92233720368547758.08", "9" * 30, "9" * 5000])
def test_more_than_the_ledger_holds_is_refused(text: str) -> None:
    with pytest.raises(AmountOutOfRange):
        parse_minor(text, "USD")


@pytest.mark.parametrize(
    ("amount_minor", "currency", "text"),
    [
        (188950, "USD", "1,889.50 USD"),
        (5, "USD", "0.05 USD"),
        (-150, "EUR", "-1.50 EUR"),
        (1234567, "JPY", "1,234,567 JPY"),
        (1, "KWD", "0.001 KWD"),
    ],
)
def test_amounts_are_shown_with_the_decimals_of_their_currency(
    amount_minor: int, currency: str, text: str
) -> None:
    """R15."""
    assert format_minor(amount_minor, currency) == text


@given(amount_minor=st.integers(-MINOR_MAX, MINOR_MAX), currency=currencies)
def test_what_is_shown_reads_back_as_the_same_amount(amount_minor: int, currency: str) -> None:
    shown = format_minor(amount_minor, currency).removesuffix(currency).replace(",", "")
    assert parse_minor(shown, currency) == amount_minor


weights = st.lists(st.integers(0, 10_000), min_size=1, max_size=40).filter(any)


@given(amount_minor=st.integers(-MINOR_MAX, MINOR_MAX), parts=weights)
def test_parts_add_up_to_the_whole_and_are_fair_to_a_unit(
    amount_minor: int, parts: list[int]
) -> None:
    """R17."""
    shares = split_minor(amount_minor, parts)
    assert sum(shares) == amount_minor
    for share, weight in zip(shares, parts, strict=True):
        assert abs(share * sum(parts) - amount_minor * weight) < sum(parts)


def test_the_largest_remainder_gets_the_odd_unit_and_the_earlier_part_wins_a_tie() -> None:
    """R17."""
    assert split_minor(100, [1, 1, 1]) == (34, 33, 33)
    assert split_minor(-100, [1, 1, 1]) == (-34, -33, -33)
    assert split_minor(10, [1, 2, 4]) == (1, 3, 6)
    assert split_minor(5, [0, 1]) == (0, 5)


@pytest.mark.parametrize("parts", [[], [0, 0], [3, -1]])
def test_weights_that_cannot_share_are_refused(parts: list[int]) -> None:
    with pytest.raises(MoneyError, match="can't split"):
        split_minor(100, parts)
