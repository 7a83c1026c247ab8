"""Money as integers: how many decimals a currency has, text to minor units and back, splitting.

Handlers call it, and the import of accounts through them. Exponents are those of ISO 4217, not of
a display library. Nothing here rounds: text that says more than the currency can hold is refused,
and a split hands out every unit. It knows no gateway: where a gateway counts differently, its
adapter says so.
"""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from types import MappingProxyType

MINOR_MAX = 2**63 - 1
"""The largest amount that the ledger's column holds."""

_DECIMAL = re.compile(r"(-?)([0-9]+)(?:\.([0-9]+))?")


class MoneyError(ValueError):
    """An amount or a currency that can't be used. The message names it."""


class UnknownCurrency(MoneyError):
    """Not an ISO 4217 currency that money is counted in. Correct the currency code."""


class AmountNotExact(MoneyError):
    """The text is not a plain decimal that the currency holds exactly. Correct the amount."""


class AmountOutOfRange(MoneyError):
    """The amount is larger than the ledger can hold. Check its decimal point."""


@cache
def exponents() -> Mapping[str, int]:
    """The decimals of every currency that money is counted in, by its code."""
    # Four megabytes of tables: not for a worker that has nothing to do yet.
    from iso4217 import Currency

    return MappingProxyType(
        {
            currency.code: currency.exponent
            for currency in Currency
            if currency.exponent is not None  # gold, test codes and the like can't be charged
        }
    )


def exponent(currency: str) -> int:
    """How many decimals the currency has: JPY 0, USD 2, KWD 3, CLF 4.

    Raises:
        UnknownCurrency: not an ISO 4217 code with minor units.
    """
    try:
        return exponents()[currency]
    except KeyError:
        raise UnknownCurrency(f"{currency!r} is not an ISO 4217 currency") from None


def parse_minor(text: str, currency: str) -> int:
    """Minor units of a plain decimal such as `1889.5`, exactly.

    Raises:
        UnknownCurrency: not an ISO 4217 code with minor units.
        AmountNotExact: not a plain decimal, or more decimals than the currency has.
        AmountOutOfRange: more than a bigint holds.
    """
    decimals = exponent(currency)
    found = _DECIMAL.fullmatch(text.strip())
    if found is None:
        raise AmountNotExact(f"{text!r} is not a plain decimal number")
    sign, whole, fraction = found[1], found[2], found[3] or ""
    if len(fraction) > decimals:
        raise AmountNotExact(f"{text!r} has more than the {decimals} decimals of {currency}")
    if len(whole.lstrip("0")) + decimals > len(str(MINOR_MAX)):
        raise AmountOutOfRange(f"{text[:40]!r} {currency} is more than the ledger holds")
    amount_minor = int(whole + fraction.ljust(decimals, "0"))
    if amount_minor > MINOR_MAX:
        raise AmountOutOfRange(f"{text!r} {currency} is more than the ledger holds")
    return -amount_minor if sign else amount_minor


def format_minor(amount_minor: int, currency: str) -> str:
    """The amount for people: `1,889.50 USD`."""
    decimals = exponent(currency)
    whole, fraction = divmod(abs(amount_minor), 10**decimals)
    sign = "-" if amount_minor < 0 else ""
    tail = f".{fraction:0{decimals}d}" if decimals else ""
    return f"{sign}{whole:,}{tail} {currency}"


def split_minor(amount_minor: int, weights: Sequence[int]) -> tuple[int, ...]:
    """Parts in proportion to the weights whose sum is the whole, by largest remainder.

    Equal remainders go to the earlier part. A negative amount splits as its mirror image.

    Raises:
        MoneyError: a weight is negative, or none is positive.
    """
    if min(weights, default=0) < 0 or sum(weights) == 0:
        raise MoneyError(f"can't split by the weights {list(weights)}")
    total = sum(weights)
    shares = [divmod(abs(amount_minor) * weight, total) for weight in weights]
    left = abs(amount_minor) - sum(share for share, _ in shares)
    by_remainder = sorted(range(len(shares)), key=lambda place: -shares[place][1])
    largest = frozenset(by_remainder[:left])
    parts = [share + (place in largest) for place, (share, _) in enumerate(shares)]
    return tuple(-part for part in parts) if amount_minor < 0 else tuple(parts)
