"""Money, days and numbers as the reader of a mail writes them.

The templates call it as `fmt`. Amounts come in minor units with the exponents of ISO 4217; Babel,
whose own exponents differ for some currencies (R15), only places digits and signs. Pure.
"""

import re
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final
from zoneinfo import ZoneInfo

from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_time
from babel.numbers import NumberPattern, format_decimal, parse_pattern

from billfleet_workers.money import exponent

FALLBACK: Final = "en_US"
# Where a currency shows as its code, CLDR asks for a space that Babel does not set.
_TOUCHING: Final = re.compile(r"(?<=[A-Za-z])(?=\d)|(?<=\d)(?=[A-Za-z])")
_SIZES: Final = ("bytes", "kB", "MB", "GB", "TB")


class Formats:
    """How one reader reads: a locale and a time zone."""

    def __init__(self, locale: str, time_zone: str = "UTC") -> None:
        self.locale = _locale(locale)
        self._zone = ZoneInfo(time_zone)

    @property
    def language(self) -> str:
        """For the `lang` of the page; the texts are English, whatever the figures look like."""
        return "en"

    @property
    def direction(self) -> str:
        """For the `dir` of the page, which follows the language of its texts."""
        return "ltr"

    def money(self, amount_minor: int, currency: str) -> str:
        """`1.889,50 €` of 188950 EUR, for a reader in Germany."""
        decimals = exponent(currency)
        amount = Decimal(amount_minor).scaleb(-decimals)
        pattern = _money_pattern(self.locale, decimals)
        shown = pattern.apply(amount, self.locale, currency=currency, currency_digits=False)
        return _TOUCHING.sub("\N{NO-BREAK SPACE}", str(shown))

    def day(self, value: object) -> str:
        """A day in words. Of an instant, the day that it is where the reader is."""
        moment = _moment(value)
        if isinstance(moment, datetime):
            moment = moment.astimezone(self._zone).date()
        return format_date(moment, format="long", locale=self.locale)

    def moment(self, value: object) -> str:
        """An instant with its time of day, where the reader is."""
        moment = _moment(value)
        if not isinstance(moment, datetime):
            return self.day(moment)
        local = moment.astimezone(self._zone)
        time = format_time(local, "short", locale=self.locale)
        return f"{self.day(moment)}, {time} ({local.tzname()})"

    def number(self, value: int) -> str:
        """`12,345`."""
        return format_decimal(value, locale=self.locale)

    def size(self, bytes_count: int) -> str:
        """`1.4 MB`."""
        size, unit = float(bytes_count), 0
        while size >= 1000 and unit < len(_SIZES) - 1:
            size, unit = size / 1000, unit + 1
        shown = format_decimal(round(size, 1) if unit else bytes_count, locale=self.locale)
        return f"{shown} {_SIZES[unit]}"


@lru_cache(maxsize=256)
def _locale(name: str) -> Locale:
    """The locale of a tag such as `de-AT`, or of its language, or the fallback."""
    wanted = name.replace("-", "_")
    for candidate in (wanted, wanted.split("_")[0]):
        try:
            return Locale.parse(candidate)
        except (UnknownLocaleError, ValueError, TypeError):
            continue
    return Locale.parse(FALLBACK)


@lru_cache(maxsize=512)
def _money_pattern(locale: Locale, decimals: int) -> NumberPattern:
    pattern = parse_pattern(locale.currency_formats["standard"].pattern)
    pattern.frac_prec = (decimals, decimals)
    return pattern


def _moment(value: Any) -> date:
    if isinstance(value, str):
        value = datetime.fromisoformat(value) if "T" in value else date.fromisoformat(value)
    if isinstance(value, datetime) and value.tzinfo is None:
        return value.replace(tzinfo=UTC)
    if not isinstance(value, date):
        raise TypeError(f"{type(value).__name__} is no date")
    return value
