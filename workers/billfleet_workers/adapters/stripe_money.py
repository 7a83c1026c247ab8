"""How Stripe counts money: its own exponents, its steps, and its smallest charges.

The stripe adapter calls it. Ours is ISO 4217; where Stripe counts otherwise (MGA, ISK, UGX) the
amount is converted here, exactly or not at all. Source: Stripe's page on supported currencies,
with its special cases and its table of minimum amounts. It knows no request.
"""

from collections.abc import Mapping
from types import MappingProxyType

from iso4217 import Currency

_TWO_DECIMALS = """
AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BWP BYN BZD CAD CDF CHF CNY
COP CRC CVE CZK DKK DOP DZD EGP ETB EUR FJD FKP GBP GEL GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS
INR ISK JMD KES KGS KHR KYD KZT LAK LBP LKR LRD LSL MAD MDL MKD MMK MNT MOP MUR MVR MWK MXN MYR
MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SEK SGD SHP SLE
SOS SRD SZL THB TJS TOP TRY TTD TWD TZS UAH UGX USD UYU UZS WST XCD YER ZAR ZMW
"""
_ZERO_DECIMALS = "BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF"
_THREE_DECIMALS = "BHD JOD KWD OMR TND"

EXPONENTS: Mapping[str, int] = MappingProxyType(
    dict.fromkeys(_TWO_DECIMALS.split(), 2)
    | dict.fromkeys(_ZERO_DECIMALS.split(), 0)
    | dict.fromkeys(_THREE_DECIMALS.split(), 3)
)
"""Decimals of an amount in a Stripe request, for every currency that it charges in."""

_STEPS: Mapping[str, int] = MappingProxyType(
    {"ISK": 100, "UGX": 100} | dict.fromkeys(_THREE_DECIMALS.split(), 10)
)
"""Amounts must be a multiple of this: whole krónur and shillings, tens of fils."""

_MINIMUMS: Mapping[str, int] = MappingProxyType(
    dict.fromkeys(("AUD", "BRL", "CAD", "CHF", "EUR", "INR", "JPY", "NZD", "SGD", "USD"), 50)
    | dict.fromkeys(("AED", "MYR", "PLN", "RON"), 200)
    | dict.fromkeys(("NOK", "SEK"), 300)
    | dict.fromkeys(("MXN", "THB"), 1000)
    | {"CZK": 1500, "DKK": 250, "GBP": 30, "HKD": 400, "HUF": 17500}
)
"""The smallest charge in Stripe's units; other currencies are held to one unit."""


class NotRepresentable(ValueError):
    """Stripe can't take this amount in this currency. The message is the bill's note."""


def to_stripe_amount(amount_minor: int, currency: str) -> int:
    """Stripe's integer for an ISO 4217 amount.

    Raises:
        NotRepresentable: the currency is not charged in, or the amount has a part that Stripe
            can't express. Nothing is ever rounded.
    """
    stripe_exponent = EXPONENTS.get(currency)
    if stripe_exponent is None:
        raise NotRepresentable("currency_unsupported")
    shift = stripe_exponent - _iso_exponent(currency)
    amount, left = divmod(amount_minor * _ten_to(shift), _ten_to(-shift))
    if left or amount % _STEPS.get(currency, 1):
        raise NotRepresentable("amount_not_representable")
    return amount


def minimum_minor(currency: str) -> int:
    """The smallest charge in ISO 4217 minor units."""
    if currency not in EXPONENTS:
        return 1
    shift = EXPONENTS[currency] - _iso_exponent(currency)
    minimum = max(_MINIMUMS.get(currency, 1), _STEPS.get(currency, 1)) * _ten_to(-shift)
    return -(-minimum // _ten_to(shift))


def _iso_exponent(currency: str) -> int:
    try:
        exponent = Currency(currency).exponent
    except ValueError:
        exponent = None
    if exponent is None:
        raise NotRepresentable("currency_unsupported")
    return int(exponent)


def _ten_to(power: int) -> int:
    return int(10 ** max(power, 0))
