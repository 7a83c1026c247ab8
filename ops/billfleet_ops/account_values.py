"""What each cell of an account file may hold, and why a value is refused.

`account_columns` calls one function per column. Each takes stripped text, where empty means not
given, and returns a value of the database's type or raises `Unfit` with a reason for the person
who repairs the file. It knows no row, file or database.
"""

import re
from datetime import date
from difflib import get_close_matches
from functools import lru_cache
from typing import Final
from zoneinfo import available_timezones

from billfleet_workers.money import MoneyError, exponent, parse_minor

STATES: Final = ("ACTIVE", "PENDING", "PAST_DUE", "INACTIVE")
AMOUNT_MINOR_MAX: Final = 10**15
"""More than any bill: a slipped decimal point, and sums of millions of them stay a bigint."""

_DECIMAL = re.compile(r"[0-9]{1,18}(\.[0-9]{1,18})?", re.ASCII)
_ACCOUNT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}", re.ASCII)
_CURRENCY = re.compile(r"[A-Z]{3}", re.ASCII)
_LOCALE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8})*", re.ASCII)
_EMAIL = re.compile(r"[^@\s]{1,64}@[^@\s.]+(\.[^@\s.]+)+")
_DATE = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", re.ASCII)
_TERM = re.compile(r"(?P<count>[0-9]{1,4}|one|two|three|five)[ -](?P<unit>month|year)s?", re.ASCII)
_COUNTS = {"one": 1, "two": 2, "three": 3, "five": 5}
_TERM_NAMES = {"month-to-month": 1, "monthly": 1, "none": 1, "yearly": 12, "annual": 12}
_CONTROL = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x9f\u2028\u2029]")
_CARD = re.compile(r"(?:[0-9][ -]?){12,18}[0-9]", re.ASCII)


class Unfit(ValueError):
    """One value can't be taken; the message says why."""


def account_id(text: str) -> str:
    """An id as the contracts allow it."""
    if not text:
        raise Unfit("no account_id is given")
    if not _ACCOUNT_ID.fullmatch(text):
        raise Unfit(f"{text[:80]!r} is not an id: letters, digits and . _ : -, at most 64")
    return text


def name(text: str) -> str | None:
    """Line breaks and runs of spaces become one space, so that no mail header can be forged."""
    name = " ".join(text.split())
    if _CONTROL.search(name):
        raise Unfit("it holds a control character")
    if len(name) > 200:
        raise Unfit(f"it is {len(name)} characters long; 200 are allowed")
    return name or None


def email(text: str) -> str | None:
    """An address, or None."""
    if text and (len(text) > 254 or not _EMAIL.fullmatch(text) or _CONTROL.search(text)):
        raise Unfit(f"{text[:80]!r} is not an e-mail address")
    return text or None


def locale(text: str) -> str:
    """A language tag; en-US when not given."""
    if text and not _LOCALE.fullmatch(text):
        raise Unfit(f"{text[:40]!r} is not a locale; write it as en-US or de")
    return text or "en-US"


def plan(text: str) -> str | None:
    """A plan id, or None."""
    if text and not _ACCOUNT_ID.fullmatch(text):
        raise Unfit(f"{text[:80]!r} is not a plan id: letters, digits and . _ : -, at most 64")
    return text or None


@lru_cache(maxsize=256)
def currency(text: str) -> str:
    """An ISO 4217 code that can be charged in; lower case is taken."""
    if not text:
        raise Unfit("no currency is given; --set currency=USD gives all rows one")
    code = text.upper()
    if not _CURRENCY.fullmatch(code):
        raise Unfit(f"{text[:20]!r} is not an ISO 4217 code such as USD")
    try:
        exponent(code)
    except MoneyError as error:
        raise Unfit(str(error)) from error
    return code


def amount_minor(text: str, in_currency: str) -> int:
    """A plain decimal in minor units, exactly; zeros beyond the currency's decimals say nothing."""
    if not _DECIMAL.fullmatch(text):
        raise Unfit(_why_not_an_amount(text))
    shortened = text.rstrip("0").rstrip(".") if "." in text else text
    try:
        minor = parse_minor(shortened, in_currency)
    except MoneyError as error:
        raise Unfit(str(error)) from error
    if minor > AMOUNT_MINOR_MAX:
        raise Unfit(f"{text!r} is more than can be billed at once: is the decimal point right?")
    return minor


def _why_not_an_amount(text: str) -> str:
    if not text:
        return "no amount is given"
    if text.startswith("-"):
        return f"{text[:40]!r} is negative; an amount is zero or more"
    if "," in text:
        return f"{text[:40]!r} has a comma; write a plain decimal with a point, such as 1234.50"
    if re.search(r"[0-9]", text):
        return f"{text[:40]!r} is more than a number; its currency has a column of its own"
    return f"{text[:40]!r} is not an amount; write a plain decimal such as 29.85"


def interval_months(text: str) -> int | None:
    """1 to 120 months between charges, or None: then the plan says."""
    return _whole(text, 120) if text else None


def anchor_day(text: str) -> int | None:
    """1 to 31, or None: then it is the day of the rebilling date."""
    return _whole(text, 31) if text else None


def _whole(text: str, largest: int) -> int:
    if not re.fullmatch(r"[0-9]{1,6}", text, re.ASCII) or not 1 <= int(text) <= largest:
        raise Unfit(f"{text[:40]!r} is not a whole number from 1 to {largest}")
    return int(text)


@lru_cache(maxsize=1024)
def commitment_months(text: str) -> int:
    """A number of months, or words such as `Two year`; 1 when not given."""
    words = text.lower()
    months = 1 if not words else _TERM_NAMES.get(words, 0)
    if words.isascii() and words.isdigit() and len(words) <= 4:
        months = int(words)
    elif term := _TERM.fullmatch(words):
        count = _COUNTS.get(term["count"]) or int(term["count"])
        months = count * (12 if term["unit"] == "year" else 1)
    if not 1 <= months <= 1200:
        raise Unfit(
            f"{text[:40]!r} is not a commitment; write months as a number, "
            "or Month-to-month, One year, Two year"
        )
    return months


@lru_cache(maxsize=1024)
def time_zone(text: str) -> str:
    """A name of the IANA database; UTC when not given."""
    if not text:
        return "UTC"
    zones = _zones()
    if text not in zones:
        near = {zone.lower(): zone for zone in zones}
        close = get_close_matches(text.lower().replace(" ", "_"), near, n=1, cutoff=0.75)
        hint = f": did you mean {near[close[0]]}?" if close else ", such as Europe/Paris"
        raise Unfit(f"{text[:60]!r} is not an IANA time zone{hint}")
    return text


@lru_cache(maxsize=1)
def _zones() -> frozenset[str]:
    # These two come with the database but are not places; their meaning changes by machine.
    return frozenset(available_timezones() - {"localtime", "Factory"})


@lru_cache(maxsize=4096)
def rebilling_date(text: str) -> date:
    """An ISO date of the calendar."""
    if not text:
        raise Unfit("no rebilling_date is given")
    if not _DATE.fullmatch(text):
        raise Unfit(f"{text[:40]!r} is not a date; write year-month-day, such as 2026-01-31")
    try:
        parsed = date.fromisoformat(text)
    except ValueError as error:
        raise Unfit(f"{text!r} is not in the calendar ({error})") from error
    if not 1970 <= parsed.year <= 2200:
        raise Unfit(f"{text!r} is not a year to bill in")
    return parsed


def state(text: str) -> str:
    """One of the account states; ACTIVE when not given."""
    state = text.upper().replace(" ", "_") or "ACTIVE"
    if state not in STATES:
        raise Unfit(f"{text[:40]!r} is not a state; one of {', '.join(STATES)}")
    return state


def payment_method(text: str) -> str | None:
    """A token of the gateway, or None. Never a card number."""
    if len(text) > 255 or _CONTROL.search(text) or "\n" in text:
        raise Unfit("it is longer than 255 characters or holds a control character")
    if _CARD.fullmatch(text) and _passes_luhn(text):
        raise Unfit("it looks like a card number; only the gateway's token may be stored")
    return text or None


def _passes_luhn(text: str) -> bool:
    digits = [int(character) for character in reversed(text) if character.isdigit()]
    doubled = [sum(divmod(digit * 2, 10)) for digit in digits[1::2]]
    return (sum(digits[0::2]) + sum(doubled)) % 10 == 0
