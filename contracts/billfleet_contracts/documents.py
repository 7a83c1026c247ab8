"""The generated documents: a JSON Schema per event and one AsyncAPI document of the whole fleet.

Called by `schemas`, which keeps the files. Pure: catalogue in, JSON-ready values out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from billfleet_contracts.catalogue import CATALOGUE, QUEUES, Catalogue
from billfleet_contracts.codec import EXTENSION_PATTERN, envelope_class
from billfleet_contracts.envelope import SCHEMA_URN
from billfleet_contracts.routes import Route

Document = dict[str, Any]

_DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
_EXTENSION_VALUE: Final = {"type": ["string", "integer", "boolean", "null"]}


def documents(catalogue: Catalogue = CATALOGUE) -> dict[str, Document]:
    """Every document by its file name."""
    files = {f"{event_type}.json": event_schema(event_type, catalogue) for event_type in catalogue}
    return files | {"asyncapi.json": asyncapi(catalogue)}


def event_schema(event_type: str, catalogue: Catalogue = CATALOGUE) -> Document:
    """The JSON Schema of the whole message body of one event type."""
    schema = envelope_class(event_type, catalogue).model_json_schema()
    schema |= {
        "$schema": _DIALECT,
        "$id": SCHEMA_URN + event_type,
        "title": event_type,
        "description": "A CloudEvents 1.0 message in JSON format; `data` is the event.",
        "propertyNames": {"pattern": f"^{EXTENSION_PATTERN}$"},
        "additionalProperties": _EXTENSION_VALUE,
    }
    return schema


def asyncapi(catalogue: Catalogue = CATALOGUE) -> Document:
    """The AsyncAPI 3 document: what the fleet receives from queues and publishes to topics."""
    routes = {entry.route: _channel_id(entry.route) for entry in catalogue.values()}
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "billfleet",
            "version": "1",
            "description": "Requests that the fleet works on, and facts that it announces.",
        },
        "defaultContentType": "application/json",
        "channels": {channel: _channel(route, catalogue) for route, channel in _in_order(routes)},
        "operations": {
            _operation_id(route): _operation(route, channel) for route, channel in _in_order(routes)
        },
        "components": {
            "messages": {
                event_type: {
                    "name": event_type,
                    "title": entry.event.__name__,
                    "summary": (entry.event.__doc__ or "").strip().partition("\n")[0],
                    "contentType": "application/json",
                    "payload": {"$ref": f"./{event_type}.json"},
                }
                for event_type, entry in sorted(catalogue.items())
            }
        },
    }


def _in_order(routes: Mapping[Route, str]) -> list[tuple[Route, str]]:
    return sorted(routes.items(), key=lambda item: item[1])


def _channel_id(route: Route) -> str:
    return f"{route.kind}-{route.name}"


def _operation_id(route: Route) -> str:
    return f"{'work-on' if route.kind == 'queue' else 'announce-on'}-{route.name}"


def _channel(route: Route, catalogue: Catalogue) -> Document:
    types = sorted(name for name, entry in catalogue.items() if entry.route == route)
    channel: Document = {
        "address": f"{{stack}}-{route.name}",
        "description": f"The {route.kind} `{route.name}` of a stack.",
        "parameters": {"stack": {"description": "The deployment, such as billfleet-local."}},
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in types},
    }
    if route.kind == "queue" and route.name in QUEUES:
        channel |= _queue_settings(route.name)
    return channel


def _queue_settings(name: str) -> Document:
    spec = QUEUES[name]
    return {
        "x-billfleet-worker": spec.worker,
        "bindings": {
            "sqs": {
                "queue": {
                    "name": f"{{stack}}-{spec.name}",
                    "fifoQueue": spec.fifo,
                    "visibilityTimeout": spec.visibility_timeout_s,
                    "messageRetentionPeriod": spec.retention_s,
                    "redrivePolicy": {
                        "deadLetterQueue": {"name": f"{{stack}}-{spec.dlq_name}"},
                        "maxReceiveCount": spec.max_receive_count,
                    },
                },
                "bindingVersion": "0.2.0",
            }
        },
    }


def _operation(route: Route, channel: str) -> Document:
    return {
        "action": "receive" if route.kind == "queue" else "send",
        "channel": {"$ref": f"#/channels/{channel}"},
    }
