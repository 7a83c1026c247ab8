"""Would a message in flight still be read? Compares two JSON Schemas of one event version.

Called by `schemas` when the generated schema differs from the committed one. Pure, and cautious:
what cannot be shown to be harmless counts as breaking. It covers the keywords that pydantic
writes, and must not know events or files.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

Schema = Mapping[str, Any]

_ANNOTATIONS: Final = frozenset(
    {"$schema", "$id", "$defs", "title", "description", "examples", "deprecated", "discriminator"}
)
_LOWER_BOUNDS: Final = frozenset({"minimum", "exclusiveMinimum", "minLength", "minItems"})
_UPPER_BOUNDS: Final = frozenset({"maximum", "exclusiveMaximum", "maxLength", "maxItems"})
_STRUCTURE: Final = frozenset(
    {"type", "const", "enum", "anyOf", "properties", "required", "additionalProperties", "items"}
    | {"$ref", "default"}
)
_MISSING: Final = object()


@dataclass(frozen=True, slots=True)
class Break:
    """One way in which the new schema refuses, or rereads, what the old one accepted."""

    where: str
    reason: str

    def __str__(self) -> str:
        return f"{self.where}: {self.reason}"


def breaking_changes(old: Schema, new: Schema) -> list[Break]:
    """Every change that could break a message which was valid under `old`; empty when none."""
    return list(_Comparison(old, new).compare(old, new, "$"))


class _Comparison:
    def __init__(self, old_root: Schema, new_root: Schema) -> None:
        self._old_root = old_root
        self._new_root = new_root
        self._compared: set[tuple[str, str]] = set()

    def compare(self, old: Schema, new: Schema, where: str) -> Iterator[Break]:
        refs = (str(old.get("$ref", "")), str(new.get("$ref", "")))
        if all(refs):
            if refs in self._compared:
                return
            self._compared.add(refs)
        old, new = _resolve(self._old_root, old), _resolve(self._new_root, new)
        if "anyOf" in old or "anyOf" in new:
            yield from self._branches(old, new, where)
        else:
            yield from _values(old, new, where)
            yield from _bounds(old, new, where)
            yield from _unproven(old, new, where)
            yield from self._members(old, new, where)
        yield from _defaults(old, new, where)

    def _branches(self, old: Schema, new: Schema, where: str) -> Iterator[Break]:
        for branch in old.get("anyOf", [old]):
            targets = new.get("anyOf", [new])
            if not any(self._accepts(branch, target) for target in targets):
                yield Break(where, "a form that it could take is no longer accepted")

    def _accepts(self, old: Schema, new: Schema) -> bool:
        fresh = _Comparison(self._old_root, self._new_root)
        bare = {key: value for key, value in old.items() if key != "default"}
        return not list(fresh.compare(bare, new, "$"))

    def _members(self, old: Schema, new: Schema, where: str) -> Iterator[Break]:
        old_fields, new_fields = old.get("properties", {}), new.get("properties", {})
        for name, schema in old_fields.items():
            if name in new_fields:
                yield from self.compare(schema, new_fields[name], f"{where}.{name}")
            else:
                yield Break(f"{where}.{name}", "the field was removed or renamed")
        for name in set(new.get("required", ())) - set(old.get("required", ())):
            reason = "became required" if name in old_fields else "a new field is required"
            yield Break(f"{where}.{name}", reason)
        old_rest = old.get("additionalProperties", True)
        new_rest = new.get("additionalProperties", True)
        if new_rest is not True and old_rest is not False and old_rest != new_rest:
            yield Break(where, "other fields were accepted and no longer are")
        if "items" in new:
            yield from self.compare(old.get("items", {}), new["items"], f"{where}[]")


def _resolve(root: Schema, schema: Schema) -> Schema:
    while "$ref" in schema:
        name = str(schema["$ref"]).removeprefix("#/$defs/")
        siblings = {key: value for key, value in schema.items() if key != "$ref"}
        schema = {**root["$defs"][name], **siblings}
    return schema


def _values(old: Schema, new: Schema, where: str) -> Iterator[Break]:
    old_types, new_types = _types(old), _types(new)
    if new_types is not None and (old_types is None or not old_types <= new_types):
        yield Break(where, "the type was narrowed or changed")
    old_values, new_values = _allowed(old), _allowed(new)
    if new_values is not None:
        lost = old_values is None or [value for value in old_values if value not in new_values]
        if lost:
            yield Break(where, "a value that it could have is no longer accepted")


def _types(schema: Schema) -> set[str] | None:
    if "type" not in schema:
        return None
    named = schema["type"]
    types = {named} if isinstance(named, str) else set(named)
    return types | {"integer"} if "number" in types else types


def _allowed(schema: Schema) -> list[Any] | None:
    if "const" in schema:
        return [schema["const"]]
    return schema.get("enum")


def _bounds(old: Schema, new: Schema, where: str) -> Iterator[Break]:
    for keyword in _LOWER_BOUNDS & new.keys():
        if keyword not in old or old[keyword] < new[keyword]:
            yield Break(where, f"{keyword} was raised to {new[keyword]}")
    for keyword in _UPPER_BOUNDS & new.keys():
        if keyword not in old or old[keyword] > new[keyword]:
            yield Break(where, f"{keyword} was lowered to {new[keyword]}")


def _unproven(old: Schema, new: Schema, where: str) -> Iterator[Break]:
    known = _ANNOTATIONS | _LOWER_BOUNDS | _UPPER_BOUNDS | _STRUCTURE
    for keyword in sorted(new.keys() - known):
        if old.get(keyword, _MISSING) != new[keyword]:
            yield Break(where, f"{keyword} was added or changed")


def _defaults(old: Schema, new: Schema, where: str) -> Iterator[Break]:
    if "default" in old and "default" in new and old["default"] != new["default"]:
        yield Break(where, "another default rereads the messages that leave the field out")
