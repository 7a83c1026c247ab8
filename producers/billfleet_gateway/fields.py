"""Field types of requests that the contracts have no word for: names, addresses, zones, money.

Used by the routes' models. Text is refused where it could forge a mail header or cannot be stored.
"""

from __future__ import annotations

import re
from typing import Annotated, Final
from zoneinfo import available_timezones

import iso4217
from fastapi import Path
from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from billfleet_contracts import ACCOUNT_PATTERN

AMOUNT_MINOR_MAX: Final = 10**15
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class Closed(BaseModel):
    """A request's body: no unknown field is accepted, and no string is read as a number."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class View(BaseModel):
    """An answer's body."""

    model_config = ConfigDict(frozen=True)


def _plain(text: str) -> str:
    if _CONTROL.search(text) or not text.strip():
        raise ValueError("it is empty, or holds a control character")
    return text


def _zone(text: str) -> str:
    if text not in available_timezones():
        raise ValueError("it is not an IANA time zone")
    return text


def _currency(text: str) -> str:
    try:
        exponent = iso4217.Currency(text).exponent
    except ValueError:
        exponent = None
    if exponent is None:  # gold, test codes and the like are codes too
        raise ValueError("it is not an ISO 4217 code that money is counted in")
    return text


AnId = Annotated[str, Path(pattern=ACCOUNT_PATTERN)]
Name = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(_plain)]
Email = Annotated[
    str,
    Field(max_length=254, pattern=r"^[^@\s]{1,64}@[^@\s.]+(\.[^@\s.]+)+$"),
    AfterValidator(_plain),
]
Locale = Annotated[str, Field(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$")]
TimeZone = Annotated[str, Field(max_length=64), AfterValidator(_zone)]
Money = Annotated[int, Field(ge=0, le=AMOUNT_MINOR_MAX)]
IsoCurrency = Annotated[str, Field(pattern=r"^[A-Z]{3}$"), AfterValidator(_currency)]
PaymentMethod = Annotated[str, Field(pattern=r"^[\x21-\x7e]{1,255}$")]
