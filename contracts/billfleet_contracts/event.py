"""The base of every event: frozen, closed, and able to say what makes two of it the same work.

Subclassed by the modules of each family (`billing.py`, ...) and listed in the catalogue. An
event must not know its tenant, its route or its transport: those are the envelope's and the
catalogue's.
"""

from __future__ import annotations

import hashlib
import json
import re
from functools import cache
from typing import Any, ClassVar, Final, cast

from pydantic import BaseModel, ConfigDict

try:
    import orjson
except ImportError:  # this package needs pydantic alone; orjson only makes digests cheaper
    _quick: Any = None
else:
    _quick = orjson

TYPE_PATTERN: Final = re.compile(
    r"(?P<name>billfleet\.[a-z][a-z0-9]*\.(?P<short>[a-z][a-z0-9_]*))\.v(?P<version>[1-9][0-9]*)"
)

_DIGEST_CHARS: Final = 32


# Made once: `json.dumps` with these arguments would make one for every value.
_CANONICAL = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
)


_PLAIN: Final = frozenset({str, int, bool, type(None)})
_NAMES: Final = frozenset({str})


def canonical_json(value: object, *, is_plain: bool = False) -> bytes:
    """One spelling per value: sorted keys, no spaces, UTF-8. What digests are computed over.

    `is_plain` says that no float can occur in it, so that nobody has to look.
    """
    if _quick is not None and (is_plain or _is_plain(value)):
        try:
            return bytes(_quick.dumps(value, option=_quick.OPT_SORT_KEYS))
        except TypeError:
            # Integers above 64 bits and lone surrogates: only the standard library spells them.
            pass
    return _CANONICAL.encode(value).encode()


def _is_plain(value: object) -> bool:
    """Whether orjson spells it as the standard library does. Floats it spells otherwise."""
    waiting = [value]
    for one in waiting:
        kind = type(one)
        if kind is dict:
            fields = cast("dict[object, object]", one)
            if not _NAMES.issuperset(map(type, fields)):
                return False
            waiting += fields.values()
        elif kind is list:
            waiting += cast("list[object]", one)
        elif kind not in _PLAIN:
            return False
    return True


_FLOATLESS: Final = frozenset({"string", "integer", "boolean", "null"})


def _holds_no_float(schema: object) -> bool:
    """Whether a JSON Schema says of every value that it is no fraction. In doubt it does not."""
    if not isinstance(schema, dict):
        return False
    parts = cast("dict[str, Any]", schema)
    choices = [one for word in ("anyOf", "oneOf", "allOf") for one in parts.get(word, ())]
    inside = [*choices, *parts.get("$defs", {}).values(), *parts.get("prefixItems", ())]
    kind = parts.get("type")
    if kind == "object":
        inside += parts.get("properties", {}).values()
        if (others := parts.get("additionalProperties", True)) is not False:
            inside.append(others)
    elif kind == "array":
        if (items := parts.get("items", "prefixItems" not in parts)) is not False:
            inside.append(items)
    elif kind not in _FLOATLESS and not choices and "$ref" not in parts:
        return False
    return all(map(_holds_no_float, inside))


def short_digest(value: object) -> str:
    """The first 32 hex digits of the SHA-256 of `value`'s canonical JSON."""
    return hashlib.sha256(canonical_json(value)).hexdigest()[:_DIGEST_CHARS]


class Event(BaseModel):
    """A typed fact or request of the catalogue.

    Fields are checked strictly: no string is read as a number, no unknown field is accepted.
    `TYPE` is `billfleet.<family>.<name>.v<N>`, once and for ever; a change that would break a
    message in flight is a new class with the next version, and an upcast.
    """

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid", strict=True)

    TYPE: ClassVar[str]

    def subject(self) -> str | None:
        """What the event is about, such as an account id; None when it is about several."""
        return None

    def default_dedupe_key(self) -> str:
        """The key that makes two of these the same work, unless the sender gives another.

        A digest of the data by default. Events with a natural key override this.
        """
        return f"{self.short_name()}:{short_digest(self.canonical_data())}"

    def canonical_data(self) -> dict[str, object]:
        """The data without its defaults, so that a field added later changes no digest."""
        # `model_dump` without its many arguments, which are a third of what it takes.
        data = self.__pydantic_serializer__.to_python(self, mode="json", exclude_defaults=True)
        return cast("dict[str, object]", data)

    @classmethod
    @cache
    def is_plain(cls) -> bool:
        """Whether no float can occur in the data of this class, whatever is sent."""
        return _holds_no_float(cls.model_json_schema(mode="serialization"))

    @classmethod
    def short_name(cls) -> str:
        """`rebill_accounts` of `billfleet.billing.rebill_accounts.v1`."""
        return cls.TYPE.split(".")[2]
