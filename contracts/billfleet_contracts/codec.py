"""The codec: event to envelope to body, and back. Bytes become types here and nowhere else.

Called by the producer library (`wrap`, `encode`), by the runtime's first step (`decode`) and by
its dedupe step (`payload_hash`). It must not know queues, tables or settings; the clock's time
comes in as an argument.

Two things are decided here. Attributes that CloudEvents allows as extensions and that this
contract does not name (`tracestate`, `partitionkey`, ...) are read and dropped, so that other
SDKs may produce; a name that is no legal extension is refused. Of a key given twice the last one
counts, as in Python's and JavaScript's own readers.
"""

from __future__ import annotations

import hashlib
import json
import operator
import re
import uuid
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Any, Final, Literal, cast

from pydantic import (
    ConfigDict,
    GetCoreSchemaHandler,
    GetPydanticSchema,
    TypeAdapter,
    ValidationError,
    create_model,
)
from pydantic_core import core_schema

from billfleet_contracts.catalogue import CATALOGUE, Catalogue
from billfleet_contracts.claim_check import read_pointer
from billfleet_contracts.envelope import SCHEMA_URN, Envelope
from billfleet_contracts.errors import (
    ContractError,
    InvalidEvent,
    UndecodableBody,
    UnredeemedClaimCheck,
)
from billfleet_contracts.event import Event, canonical_json
from billfleet_contracts.upcasts import Data

EXTENSION_PATTERN: Final = "[a-z0-9]{1,20}"
_EXTENSION_NAME: Final = re.compile(EXTENSION_PATTERN)


class _OpenEnvelope(Envelope):
    """An envelope as it comes off the wire: with whatever extensions others have added."""

    model_config = ConfigDict(extra="allow")


class _OldEnvelope(_OpenEnvelope):
    """An envelope of a version that is only read, until its data has been upcast."""

    data: Data  # type: ignore[assignment]  # not yet an event


def wrap(
    event: Event,
    *,
    tenant: str,
    source: str,
    now: datetime,
    id: str | None = None,  # noqa: A002  # CloudEvents' own word, and the attribute's name
    dedupe_key: str | None = None,
    traceparent: str | None = None,
    catalogue: Catalogue = CATALOGUE,
) -> Envelope:
    """Put an event into its envelope.

    Args:
        event: an event of the catalogue.
        tenant: whose work it is.
        source: who produces it, such as `/shop/checkout`.
        now: the producer's clock, aware.
        id: the message's identity; a random UUID when not given.
        dedupe_key: replaces the event's own key; at most 128 printable characters.
        traceparent: W3C Trace Context of the current span.
        catalogue: the events that may travel.

    Raises:
        UnknownType, UnknownVersion: the event is not in the catalogue.
        InvalidEvent: an argument breaks the envelope's schema.
    """
    try:
        validator = _class_of(event.TYPE, catalogue).__pydantic_validator__
    except KeyError:
        raise catalogue.missing(event.TYPE) from None
    attributes: dict[str, object] = {
        "specversion": "1.0",
        "id": id or str(uuid.uuid4()),
        "source": source,
        "type": event.TYPE,
        "subject": event.subject(),
        "time": now,
        "traceparent": traceparent,
        "tenant": tenant,
        "dedupekey": dedupe_key or event.default_dedupe_key(),
        "data": event,
    }
    try:
        # `model_validate` with its many arguments takes a fifth more.
        return cast("Envelope", validator.validate_python(attributes))
    except ValidationError as error:
        raise _invalid(error, event.TYPE, skip=0) from None


def encode(envelope: Envelope) -> str:
    """The message body: CloudEvents JSON without the attributes that are not set."""
    # `model_dump_json` without its many arguments, which are a quarter of what it takes.
    return envelope.__pydantic_serializer__.to_json(envelope, exclude_none=True).decode()


def decode(body: str | bytes, catalogue: Catalogue = CATALOGUE) -> Envelope:
    """Read a message body into its envelope, upcasting data of an old version.

    Raises:
        UndecodableBody: not a JSON object in UTF-8.
        UnredeemedClaimCheck: a pointer to a body in S3, which should have been fetched before.
        UnknownType: no such event, or not even an event's type.
        UnknownVersion: a version that neither the catalogue nor its upcasts know.
        InvalidEvent: anything else that breaks the schema; `where` says at which JSON path.
    """
    try:
        envelope = _union(catalogue).validate_json(body)
    except ValidationError as error:
        if isinstance(body, str) and read_pointer(body) is not None:
            raise UnredeemedClaimCheck(
                "the body was left in S3, and could not be had from there"
            ) from None
        raise _explain(error, catalogue) from None
    except UnicodeEncodeError:
        raise UndecodableBody("the body is not valid Unicode") from None
    if envelope.__pydantic_extra__:
        _drop_extensions(envelope.__pydantic_extra__, envelope.type)
    return _upcast(envelope, catalogue) if isinstance(envelope, _OldEnvelope) else envelope


def payload_hash(envelope: Envelope) -> str:
    """What the same dedupe key must always carry: SHA-256 of type, tenant and data.

    Defaults are left out, so that a field added with one changes no hash of a message in flight.
    """
    content = {
        "type": envelope.type,
        "tenant": envelope.tenant,
        "data": envelope.data.canonical_data(),
    }
    is_plain = envelope.data.is_plain()
    return hashlib.sha256(canonical_json(content, is_plain=is_plain)).hexdigest()


def envelope_class(event_type: str, catalogue: Catalogue = CATALOGUE) -> type[Envelope]:
    """The class that reads one current type, for the schema generator."""
    return _class_of(event_type, catalogue)


@lru_cache(maxsize=1024)
def _class_of(event_type: str, catalogue: Catalogue) -> type[_OpenEnvelope]:
    """A type's own class: who only sends pays for the types that it sends."""
    return _make_class(event_type, catalogue[event_type].event, _OpenEnvelope)


@lru_cache(maxsize=32)
def _union(catalogue: Catalogue) -> TypeAdapter[_OpenEnvelope]:
    """A catalogue as pydantic sees it: the union that picks the class by the type."""
    classes = {event_type: _class_of(event_type, catalogue) for event_type in catalogue}
    for old in catalogue.upcasts.old_types:
        classes[old] = _make_class(old, Data, _OldEnvelope)

    def tagged_union(_: object, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        choices = {name: handler.generate_schema(cls) for name, cls in classes.items()}
        return core_schema.tagged_union_schema(choices, discriminator="type")

    union = Annotated[Any, GetPydanticSchema(tagged_union)]
    return TypeAdapter[_OpenEnvelope](union)


def _make_class(event_type: str, data: object, base: type[_OpenEnvelope]) -> type[_OpenEnvelope]:
    urn = SCHEMA_URN + event_type
    fields: dict[str, Any] = {
        "specversion": (_literal("1.0"), ...),
        "type": (_literal(event_type), ...),
        "dataschema": (_literal(urn), urn),
        "data": (data, ...),
    }
    return create_model(f"{base.__name__}[{event_type}]", __base__=base, **fields)


def _literal(value: str) -> Any:
    return operator.getitem(cast("Any", Literal), value)


def _upcast(old: _OldEnvelope, catalogue: Catalogue) -> Envelope:
    try:
        event_type, data = catalogue.upcasts.apply(old.type, old.data)
    except (LookupError, TypeError, ValueError) as error:
        # Old data is not validated before its upcast: what an upcast cannot read is poison.
        reason = f"the upcast cannot read the data ({type(error).__name__})"
        raise InvalidEvent(reason, where="$.data", contract=old.type) from error
    attributes = old.model_dump(mode="json", exclude_none=True)
    attributes |= {"type": event_type, "dataschema": SCHEMA_URN + event_type, "data": data}
    try:
        return _union(catalogue).validate_json(json.dumps(attributes))
    except ValidationError as error:
        raise _explain(error, catalogue) from None


def _drop_extensions(extensions: dict[str, Any], event_type: str) -> None:
    for name, value in extensions.items():
        if _EXTENSION_NAME.fullmatch(name) is None:
            reason = "an unknown attribute that is no CloudEvents extension name"
            raise InvalidEvent(reason, where=f"$.{name[:40]}", contract=event_type)
        if value is not None and not isinstance(value, str | int):
            reason = "an extension attribute is a string, a boolean or an integer"
            raise InvalidEvent(reason, where=f"$.{name}", contract=event_type)
    extensions.clear()


def _explain(error: ValidationError, catalogue: Catalogue) -> ContractError:
    first = error.errors(include_url=False)[0]
    match first["type"]:
        case "json_invalid" | "string_unicode":
            return UndecodableBody(str(first["msg"]))
        case "union_tag_invalid":
            return catalogue.missing(str(first["ctx"]["tag"]))
        case "union_tag_not_found":
            return InvalidEvent("Field required", where="$.type")
        case _ if not first["loc"]:
            return UndecodableBody("the body is not a JSON object")
        case _:
            return _invalid(error, str(first["loc"][0]), skip=1)


def _invalid(error: ValidationError, event_type: str, *, skip: int) -> InvalidEvent:
    first = error.errors(include_url=False, include_input=False)[0]
    path = "".join(
        f"[{part}]" if isinstance(part, int) else f".{part}" for part in first["loc"][skip:]
    )
    reason = first["msg"].removeprefix("Value error, ")
    return InvalidEvent(reason, where=f"${path}", contract=event_type)
