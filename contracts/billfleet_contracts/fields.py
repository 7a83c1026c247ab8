"""The field types that all events and the envelope share: ids, money, dates, bounds.

Used by event models and the envelope. Patterns here are part of the wire contract: they appear
in the generated schemas, and narrowing one breaks messages in flight. This module must not know
any event.
"""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Annotated, Final

from pydantic import AfterValidator, AwareDatetime, BeforeValidator, Field

TENANT_PATTERN: Final = r"^[a-z0-9][a-z0-9-]{0,62}$"
ACCOUNT_PATTERN: Final = r"^[A-Za-z0-9][A-Za-z0-9._:-]{0,63}$"
PRINTABLE_PATTERN: Final = r"^[\x21-\x7e]+$"
TRACEPARENT_PATTERN: Final = r"^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$"

# Above this, readers whose numbers are doubles (JavaScript) round an integer without saying so.
INTEGER_MAX: Final = 2**53 - 1


def _day(value: object) -> object:
    """Let in a date or its ISO 8601 spelling; pydantic would read digits as seconds since 1970."""
    is_day = isinstance(value, date) and not isinstance(value, datetime)
    if is_day or (isinstance(value, str) and value[4:5] == "-"):
        return value
    raise ValueError("Input should be a date, YYYY-MM-DD")


def _instant(value: object) -> object:
    """The same for an instant: a number would be read as seconds since 1970."""
    if isinstance(value, datetime) or (isinstance(value, str) and value[4:5] == "-"):
        return value
    raise ValueError("Input should be an RFC 3339 date-time with an offset")


def _to_utc(value: datetime) -> datetime:
    return value.astimezone(UTC)


TenantId = Annotated[str, Field(pattern=TENANT_PATTERN)]
AccountId = Annotated[str, Field(pattern=ACCOUNT_PATTERN)]
AttemptKey = Annotated[str, Field(pattern=PRINTABLE_PATTERN, max_length=255)]
GatewayName = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]{0,31}$")]
GatewayReference = Annotated[str, Field(pattern=PRINTABLE_PATTERN, max_length=255)]
DeclineCode = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
AmountMinor = Annotated[int, Field(ge=0, le=INTEGER_MAX)]
RowId = Annotated[int, Field(ge=1, le=INTEGER_MAX)]
Counter = Annotated[int, Field(ge=0, le=1_000_000)]
AttemptNo = Annotated[int, Field(ge=1, le=1_000_000)]
DayDate = Annotated[date, Field(strict=False), BeforeValidator(_day)]
UtcDatetime = Annotated[
    AwareDatetime, Field(strict=False), BeforeValidator(_instant), AfterValidator(_to_utc)
]
Printable128 = Annotated[str, Field(pattern=PRINTABLE_PATTERN, max_length=128)]
Printable255 = Annotated[str, Field(pattern=PRINTABLE_PATTERN, max_length=255)]
Traceparent = Annotated[str, Field(pattern=TRACEPARENT_PATTERN)]
