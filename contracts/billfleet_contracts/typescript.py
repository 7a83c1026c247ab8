"""TypeScript types of the contracts, for front ends that produce or read messages in JavaScript.

Called by `schemas`, which keeps the file beside the JSON Schemas. Pure: catalogue in, text out.
It reads the same JSON Schemas that the models generate, and knows what those can contain.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Final

from billfleet_contracts.catalogue import CATALOGUE, Catalogue
from billfleet_contracts.routes import Route

Schema = Mapping[str, Any]

FILE_NAME: Final = "billfleet.d.ts"

_HEAD: Final = """\
// Generated from the catalogue by `make schemas`; do not edit.

/** A CloudEvents 1.0 message in JSON format, as it stands in the body of an SQS or SNS message. */
export interface Message<Type extends string, Data> {
  specversion: "1.0";
  /** The message's identity: a UUID, for example. */
  id: string;
  /** Who produces it, such as "/shop/checkout". */
  source: string;
  type: Type;
  /** What it is about, such as the account. */
  subject?: string;
  /** RFC 3339, with an offset. */
  time: string;
  datacontenttype?: "application/json";
  dataschema?: string;
  /** W3C Trace Context. */
  traceparent?: string;
  /** Whose work it is. */
  tenant: string;
  /** What makes two messages the same work; unique within its tenant. */
  dedupekey: string;
  data: Data;
}
"""
_SIMPLE: Final = {
    "string": "string",
    "integer": "number",
    "number": "number",
    "boolean": "boolean",
    "null": "null",
}


def typescript(catalogue: Catalogue = CATALOGUE) -> str:
    """The whole file."""
    interfaces: dict[str, str] = {}
    messages = []
    for event_type, entry in sorted(catalogue.items()):
        schema = entry.event.model_json_schema()
        name = entry.event.__name__
        for nested, its_schema in sorted(schema.get("$defs", {}).items()):
            interfaces.setdefault(nested, _declare(nested, its_schema))
        interfaces.setdefault(name, _declare(name, schema))
        messages.append(f'export type {name}Message = Message<"{event_type}", {name}>;')
    names = [f"{entry.event.__name__}Message" for _, entry in sorted(catalogue.items())]
    parts = [
        _HEAD,
        *(text for _, text in sorted(interfaces.items())),
        "\n".join(messages) + "\n",
        f"export type AnyMessage =\n  | {_lines(names)};\n",
        _by_route(catalogue, "queue", "Queues", "What each queue carries, by its logical name."),
        _by_route(catalogue, "topic", "Topics", "What each topic carries, by its logical name."),
    ]
    return "\n".join(parts)


def _by_route(catalogue: Catalogue, kind: str, name: str, says: str) -> str:
    routes: dict[Route, list[str]] = {}
    for _, entry in sorted(catalogue.items()):
        if entry.route.kind == kind:
            routes.setdefault(entry.route, []).append(f"{entry.event.__name__}Message")
    lines = [
        f"  {json.dumps(route.name)}: {' | '.join(found)};"
        for route, found in sorted(routes.items(), key=lambda item: item[0].name)
    ]
    return f"{_comment(says, '')}export interface {name} {{\n" + "\n".join(lines) + "\n}\n"


def _declare(name: str, schema: Schema) -> str:
    says = _comment(str(schema.get("description", "")), "")
    if schema.get("type") == "object" and "properties" in schema:
        return f"{says}export interface {name} {_object(schema, '')}\n"
    return f"{says}export type {name} = {_type(schema, '')};\n"


def _object(schema: Schema, indent: str) -> str:
    inner = indent + "  "
    required = set(schema.get("required", ()))
    lines = []
    for name, field in schema["properties"].items():
        mark = "" if name in required else "?"
        says = _comment(str(field.get("description", "")), inner)
        lines.append(f"{says}{inner}{_key(name)}{mark}: {_type(field, inner)};")
    return "{\n" + "\n".join(lines) + f"\n{indent}}}"


def _type(schema: Schema, indent: str) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2]
    if "const" in schema:
        return json.dumps(schema["const"])
    if "enum" in schema:
        return " | ".join(json.dumps(value) for value in schema["enum"])
    for word in ("anyOf", "oneOf"):
        if word in schema:
            return " | ".join(dict.fromkeys(_type(one, indent) for one in schema[word]))
    kind = schema.get("type")
    if isinstance(kind, list):
        return " | ".join(_SIMPLE[one] for one in kind)
    if kind == "array":
        return _array(schema, indent)
    if kind == "object":
        return _mapping(schema, indent)
    return _SIMPLE.get(str(kind), "unknown")


def _array(schema: Schema, indent: str) -> str:
    if "prefixItems" in schema:
        return "[" + ", ".join(_type(one, indent) for one in schema["prefixItems"]) + "]"
    return f"Array<{_type(schema.get('items', {}), indent)}>"


def _mapping(schema: Schema, indent: str) -> str:
    if "properties" in schema:
        return _object(schema, indent)
    values = schema.get("additionalProperties", True)
    inside = _type(values, indent) if isinstance(values, Mapping) else "unknown"
    return f"Record<string, {inside}>"


def _key(name: str) -> str:
    return name if name.isidentifier() else json.dumps(name)


def _comment(says: str, indent: str) -> str:
    lines = [line.strip() for line in says.strip().splitlines()]
    if not lines:
        return ""
    if len(lines) == 1:
        return f"{indent}/** {lines[0]} */\n"
    body = "\n".join(f"{indent} * {line}".rstrip() for line in lines)
    return f"{indent}/**\n{body}\n{indent} */\n"


def _lines(names: Sequence[str]) -> str:
    return "\n  | ".join(names)
