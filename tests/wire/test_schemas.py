"""The committed documents are what the catalogue generates, and breaking changes are refused."""

import json
from pathlib import Path
from typing import Annotated, Any, ClassVar

import pytest
from pydantic import Field

from billfleet_contracts import CATALOGUE, Catalogue, Entry, Event, Route, Upcast
from billfleet_contracts.compatibility import breaking_changes
from billfleet_contracts.documents import asyncapi
from billfleet_contracts.schemas import DIRECTORY, find_breaks, find_drift, main, write


def test_committed_schemas_are_up_to_date() -> None:
    assert main(["--check"]) == 0


class Stamped(Event):
    TYPE: ClassVar[str] = "billfleet.test.stamped.v1"

    card: Annotated[str, Field(max_length=20)]
    count: int = 1


class StampedWithoutCard(Event):
    TYPE: ClassVar[str] = "billfleet.test.stamped.v1"

    card_id: Annotated[str, Field(max_length=20)]
    count: int = 1


class StampedWithMore(Event):
    TYPE: ClassVar[str] = "billfleet.test.stamped.v1"

    card: Annotated[str, Field(max_length=40)]
    count: int = 1
    shop: str | None = None


class StampedAgain(Event):
    TYPE: ClassVar[str] = "billfleet.test.stamped.v2"

    card_id: str


def catalogue_of(*events: type[Event], upcasts: tuple[Upcast, ...] = ()) -> Catalogue:
    return Catalogue([Entry(event, Route("topic", "events")) for event in events], upcasts)


def test_widened_version_is_drift_but_no_break(tmp_path: Path) -> None:
    write(tmp_path, catalogue_of(Stamped))
    wider = catalogue_of(StampedWithMore)
    assert find_breaks(tmp_path, wider) == []
    assert any("out of date" in line for line in find_drift(tmp_path, wider))


def test_renamed_field_of_a_shipped_version_is_refused_with_the_way_out(tmp_path: Path) -> None:
    write(tmp_path, catalogue_of(Stamped))
    problems = "\n".join(find_breaks(tmp_path, catalogue_of(StampedWithoutCard)))
    assert "$.data.card: the field was removed or renamed" in problems
    assert "$.data.card_id: a new field is required" in problems
    assert "new version" in problems
    assert "upcast" in problems


def test_shipped_version_that_is_no_longer_read_is_refused(tmp_path: Path) -> None:
    write(tmp_path, catalogue_of(Stamped))
    assert "no longer read" in find_breaks(tmp_path, catalogue_of(StampedAgain))[0]


def test_old_version_with_an_upcast_keeps_its_committed_schema(tmp_path: Path) -> None:
    old = "billfleet.test.stamped.v1"
    step = Upcast(old, StampedAgain.TYPE, lambda data: {"card_id": data["card"]})
    write(tmp_path, catalogue_of(Stamped))
    newer = catalogue_of(StampedAgain, upcasts=(step,))
    write(tmp_path, newer)
    assert find_breaks(tmp_path, newer) == []
    assert find_drift(tmp_path, newer) == []
    (tmp_path / f"{old}.json").unlink()
    assert "still read is kept" in find_drift(tmp_path, newer)[0]


def test_check_fails_on_a_missing_or_stale_file_and_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--check", "--directory", str(tmp_path)]) == 1
    assert "asyncapi.json is missing" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_writing_refuses_to_overwrite_a_schema_that_the_change_breaks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--directory", str(tmp_path)]) == 0
    path = tmp_path / "billfleet.billing.collect_payments.v1.json"
    committed = json.loads(path.read_text("utf-8"))
    committed["properties"]["courier"] = {"type": "string"}
    path.write_text(json.dumps(committed), "utf-8")
    assert main(["--directory", str(tmp_path)]) == 1
    assert "$.courier: the field was removed or renamed" in capsys.readouterr().err
    assert "courier" in path.read_text("utf-8")


def closed(properties: dict[str, Any], required: tuple[str, ...] = ()) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(required),
        "additionalProperties": False,
    }


BREAKING: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("type changed", {"type": "string"}, {"type": "integer"}),
    ("type narrowed", {"type": "number"}, {"type": "integer"}),
    ("type added", {}, {"type": "integer"}),
    ("enum value lost", {"enum": ["a", "b"]}, {"enum": ["a"]}),
    ("enum added", {"type": "string"}, {"type": "string", "enum": ["a"]}),
    ("const changed", {"const": "a"}, {"const": "b"}),
    ("minimum raised", {"minimum": 0}, {"minimum": 1}),
    ("maximum lowered", {"maximum": 9}, {"maximum": 8}),
    ("maximum added", {}, {"maximum": 8}),
    ("maxLength lowered", {"maxLength": 9}, {"maxLength": 8}),
    ("minItems raised", {"minItems": 0}, {"minItems": 1}),
    ("pattern changed", {"pattern": "^a$"}, {"pattern": "^b$"}),
    ("pattern added", {}, {"pattern": "^b$"}),
    ("format added", {"type": "string"}, {"type": "string", "format": "date"}),
    ("unknown keyword added", {"type": "array"}, {"type": "array", "uniqueItems": True}),
    ("null lost", {"anyOf": [{"type": "string"}, {"type": "null"}]}, {"type": "string"}),
    ("items narrowed", {"items": {"type": "number"}}, {"items": {"type": "integer"}}),
    ("default changed", {"type": "integer", "default": 0}, {"type": "integer", "default": 1}),
    ("field removed", closed({"a": {}}), closed({})),
    ("field became required", closed({"a": {}}), closed({"a": {}}, ("a",))),
    ("required field added", closed({}), closed({"a": {}}, ("a",))),
    ("object closed", {"properties": {}}, closed({})),
    (
        "field narrowed behind a reference",
        {"$ref": "#/$defs/X", "$defs": {"X": closed({"a": {"type": "number"}})}},
        {"$ref": "#/$defs/Y", "$defs": {"Y": closed({"a": {"type": "integer"}})}},
    ),
]
HARMLESS: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
    ("nothing", {"type": "string"}, {"type": "string"}),
    ("words", {"title": "a", "description": "b"}, {"title": "c"}),
    ("type widened", {"type": "integer"}, {"type": "number"}),
    ("enum value added", {"enum": ["a"]}, {"enum": ["a", "b"]}),
    ("const became enum", {"const": "a"}, {"enum": ["a", "b"]}),
    ("bounds widened", {"minimum": 1, "maximum": 8}, {"minimum": 0, "maximum": 9}),
    ("bound dropped", {"maxLength": 3}, {}),
    ("pattern dropped", {"pattern": "^a$"}, {}),
    ("null added", {"type": "string"}, {"anyOf": [{"type": "null"}, {"type": "string"}]}),
    ("optional field added", closed({}), closed({"a": {"type": "string", "default": "x"}})),
    ("no longer required", closed({"a": {}}, ("a",)), closed({"a": {}})),
    ("object opened", closed({}), {"type": "object", "properties": {}}),
]


@pytest.mark.parametrize(("what", "old", "new"), BREAKING, ids=[case[0] for case in BREAKING])
def test_breaking_change_is_found(what: str, old: dict[str, Any], new: dict[str, Any]) -> None:
    assert breaking_changes(old, new) != []


@pytest.mark.parametrize(("what", "old", "new"), HARMLESS, ids=[case[0] for case in HARMLESS])
def test_harmless_change_is_let_through(
    what: str, old: dict[str, Any], new: dict[str, Any]
) -> None:
    assert breaking_changes(old, new) == []


def test_break_names_the_path_through_arrays_and_references() -> None:
    def schema(item_type: str) -> dict[str, Any]:
        return {
            **closed({"list": {"type": "array", "items": {"$ref": "#/$defs/Item"}}}),
            "$defs": {"Item": closed({"size": {"type": item_type}})},
        }

    assert [change.where for change in breaking_changes(schema("number"), schema("integer"))] == [
        "$.list[].size"
    ]


def test_schemas_that_refer_to_themselves_are_compared_once() -> None:
    tree = {"$ref": "#/$defs/N", "$defs": {"N": closed({"next": {"$ref": "#/$defs/N"}})}}
    assert breaking_changes(tree, tree) == []


def test_asyncapi_names_every_type_once_and_only_channels_that_exist() -> None:
    document = asyncapi()
    channels = document["channels"]
    carried = [name for channel in channels.values() for name in channel["messages"]]
    assert sorted(carried) == sorted(CATALOGUE)
    for operation in document["operations"].values():
        assert operation["channel"]["$ref"].removeprefix("#/channels/") in channels
    for event_type, message in document["components"]["messages"].items():
        assert (DIRECTORY / message["payload"]["$ref"]).exists(), event_type
    assert channels["queue-rebill"]["x-billfleet-worker"] == "rebill"
