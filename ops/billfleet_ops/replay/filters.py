"""Which dead messages are meant: by type, tenant, fingerprint, age, and fields of the event.

The commands build a `Filter` from their options; scans ask it message by message. Pure: the time
comes in. It must not know how messages are received.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from billfleet_ops.errors import UsageWrong
from billfleet_ops.replay.reading import Reading

UNITS_S = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)([smhd])")
_CONDITION = re.compile(r"([A-Za-z_][\w.]*)(!?=)(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Condition:
    """`path=value` or `path!=value`; a path goes through lists to any of their elements."""

    path: tuple[str, ...]
    is_equal: bool
    value: str

    def holds(self, data: Any) -> bool:
        """Whether the event's data is so. An absent field equals nothing."""
        found = any(_spelled(value) == self.value for value in _values(data, self.path))
        return found is self.is_equal


@dataclass(frozen=True, slots=True)
class Filter:
    """Everything that is given must hold; a filter without anything lets all through."""

    type: str | None = None
    tenant: str | None = None
    fingerprint: str | None = None
    older_than: timedelta | None = None
    younger_than: timedelta | None = None
    conditions: tuple[Condition, ...] = ()
    containing: str | None = None

    @property
    def is_open(self) -> bool:
        """Whether it lets everything through."""
        return self == Filter()

    def matches(self, reading: Reading, now: datetime) -> bool:
        """Whether this message is meant."""
        age = now - reading.first_seen_at
        return (
            (self.type is None or _is_type(reading.contract, self.type))
            and (self.tenant is None or reading.tenant == self.tenant)
            and (self.fingerprint is None or reading.fingerprint.startswith(self.fingerprint))
            and (self.older_than is None or age >= self.older_than)
            and (self.younger_than is None or age <= self.younger_than)
            and (self.containing is None or self.containing in reading.message.body)
            and self._fields_match(reading)
        )

    def _fields_match(self, reading: Reading) -> bool:
        if not self.conditions:
            return True
        if reading.envelope is None:
            return False
        data = reading.envelope.data.model_dump(mode="json")
        return all(condition.holds(data) for condition in self.conditions)


def parse_duration(text: str, option: str) -> timedelta:
    """`90s`, `15m`, `2h`, `3d`."""
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise UsageWrong(
            f"Not a duration: {text}", where=option, remedy="Write it as 90s, 15m, 2h or 3d."
        )
    return timedelta(seconds=float(match[1]) * UNITS_S[match[2]])


def parse_conditions(texts: Sequence[str]) -> tuple[Condition, ...]:
    """`--where` options."""
    return tuple(_parse_condition(text) for text in texts)


def _parse_condition(text: str) -> Condition:
    match = _CONDITION.fullmatch(text)
    if match is None:
        raise UsageWrong(
            f"Not a condition: {text}",
            where="--where",
            remedy="Write field=value or field!=value, such as accounts.account_id=A-1.",
        )
    return Condition(tuple(match[1].split(".")), match[2] == "=", match[3])


def _is_type(contract: str, wanted: str) -> bool:
    """The full type, or its name with or without family and version."""
    name = contract.rpartition(".v")[0]
    short = name.rpartition(".")[2]
    return bool(contract) and wanted in (contract, name, short)


def _values(data: Any, path: Sequence[str]) -> Iterator[Any]:
    if isinstance(data, list):
        for element in data:
            yield from _values(element, path)
    elif not path:
        yield data
    elif isinstance(data, dict) and path[0] in data:
        yield from _values(data[path[0]], path[1:])


def _spelled(value: Any) -> str:
    """As JSON spells it, but strings without quotes."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)
