"""Templates as plain trees, for rules over all of them; intrinsic functions stay as they are.

`!Sub text` reads as {"Sub": text}. Used by the guard rules and by tests of what is generated.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from billfleet_ops.templates import template_folder


class _Loader(yaml.SafeLoader):
    pass


def _tagged(loader: Any, tag: str, node: Any) -> dict[str, Any]:
    if isinstance(node, yaml.ScalarNode):
        return {tag: loader.construct_scalar(node)}
    if isinstance(node, yaml.SequenceNode):
        return {tag: loader.construct_sequence(node, deep=True)}
    return {tag: loader.construct_mapping(node, deep=True)}


_Loader.add_multi_constructor("!", _tagged)


@dataclass(frozen=True)
class Declared:
    """One resource as its template declares it."""

    template: str
    logical_id: str
    body: dict[str, Any]

    @property
    def kind(self) -> str:
        return str(self.body["Type"])

    @property
    def properties(self) -> dict[str, Any]:
        return dict(self.body.get("Properties", {}))

    def __str__(self) -> str:
        return f"{self.template}:{self.logical_id}"


def template_paths() -> list[Path]:
    return sorted(template_folder().glob("*.yaml"))


@cache
def tree(path: Path) -> dict[str, Any]:
    found = yaml.load(path.read_text(), Loader=_Loader)  # noqa: S506 - a SafeLoader
    assert isinstance(found, dict)
    return found


def declared(kind: str = "") -> list[Declared]:
    """Every resource of every template, or those of one type."""
    return [
        Declared(path.stem, logical_id, body)
        for path in template_paths()
        for logical_id, body in tree(path)["Resources"].items()
        if body["Type"].startswith(kind)
    ]


def statements(resource: Declared) -> Iterator[dict[str, Any]]:
    """Every statement of every policy document that hangs on a resource."""
    properties = resource.properties
    documents = [policy["PolicyDocument"] for policy in properties.get("Policies", [])]
    documents += [
        properties[name] for name in ("PolicyDocument", "KeyPolicy") if name in properties
    ]
    for document in documents:
        yield from document["Statement"]
