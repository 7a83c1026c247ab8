"""The TypeScript types follow the catalogue."""

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, Field

from billfleet_contracts import CATALOGUE, Catalogue, Entry, Event, Route
from billfleet_contracts.typescript import typescript


class Line(BaseModel):
    """A line."""

    sku: str
    count: int = 1


class Ordered(Event):
    """Request: something.

    With more to say.
    """

    TYPE: ClassVar[str] = "billfleet.shop.ordered.v1"

    lines: tuple[Line, ...]
    pair: tuple[int, str]
    way: Literal["fast", "slow"]
    only: Literal["this"]
    note: str | None = None
    names: dict[str, int] = Field(default_factory=dict)
    anything: dict[str, object] = Field(default_factory=dict)
    share: Annotated[float, Field(description="Between 0 and 1.")] = 0.5
    flag: bool = False


def written() -> str:
    return typescript(Catalogue([Entry(Ordered, Route("queue", "orders"))]))


def test_every_kind_of_field_has_its_type() -> None:
    text = written()
    assert "export interface Line {\n  sku: string;\n  count?: number;\n}" in text
    for line in (
        "  lines: Array<Line>;",
        "  pair: [number, string];",
        '  way: "fast" | "slow";',
        '  only: "this";',
        "  note?: string | null;",
        "  names?: Record<string, number>;",
        "  anything?: Record<string, unknown>;",
        "  /** Between 0 and 1. */\n  share?: number;",
        "  flag?: boolean;",
    ):
        assert line in text


def test_messages_name_their_type_and_queues_what_they_carry() -> None:
    text = written()
    assert 'export type OrderedMessage = Message<"billfleet.shop.ordered.v1", Ordered>;' in text
    assert '"orders": OrderedMessage;' in text
    assert "/**\n * Request: something.\n *\n * With more to say.\n */" in text


def test_every_event_of_the_catalogue_is_there() -> None:
    text = typescript()
    for event_type, entry in CATALOGUE.items():
        assert f'Message<"{event_type}", {entry.event.__name__}>' in text
        assert f"export interface {entry.event.__name__} {{" in text
    assert "unknown" not in text.replace("Record<string, unknown>", "")
