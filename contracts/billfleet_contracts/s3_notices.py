"""What S3 writes to a queue, translated into `ObjectStored`.

Called through `forms` for queues of the form `s3`. Pure translation: whether the object is there,
and what is in it, is for the worker to find out. A key names its tenant in its second part,
`<kind>/<tenant>/...`, because S3 knows no tenants of ours.
"""

from __future__ import annotations

import uuid
from typing import Annotated, Final, Literal
from urllib.parse import unquote_plus

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from billfleet_contracts.avatars import ObjectStored
from billfleet_contracts.codec import wrap
from billfleet_contracts.envelope import Envelope
from billfleet_contracts.errors import InvalidEvent, UndecodableBody
from billfleet_contracts.fields import UtcDatetime

S3_TENANT: Final = "amazon-s3"
"""Whose the test notice is, which S3 sends when the notification is set up."""
_TYPE: Final = ObjectStored.TYPE
# Any UUID serves, as long as it never changes: a notice that comes twice has one id.
_NAMESPACE: Final = uuid.UUID("53b1f1ee-70ce-4a5e-9a1e-53b1f1ee70ce")


class _Open(BaseModel):
    """S3 adds fields as it pleases."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="ignore")


class _Bucket(_Open):
    name: str


class _Object(_Open):
    key: str
    size: Annotated[int, Field(ge=0)] = 0
    eTag: str = ""  # noqa: N815  # as S3 spells it


class _Place(_Open):
    bucket: _Bucket
    object: _Object


class _Record(_Open):
    eventTime: UtcDatetime  # noqa: N815  # as S3 spells it
    s3: _Place


class _Notice(_Open):
    Records: Annotated[tuple[_Record, ...], Field(min_length=1, max_length=1)]


class _Test(_Open):
    Event: Literal["s3:TestEvent"]
    Time: UtcDatetime
    Bucket: str


def decode_s3(body: str) -> Envelope:
    """Read a notice of S3 about one object, or the test that it sends when it is set up.

    Raises:
        UndecodableBody: not a JSON object.
        InvalidEvent: no notice of S3, of several objects, or of a key that names no tenant.
    """
    try:
        test = _Test.model_validate_json(body)
    except ValidationError:
        return _of_notice(_read(body))
    nothing = ObjectStored(notice="test", bucket=test.Bucket, key="-", bytes_count=0)
    return _wrapped(nothing, S3_TENANT, test.Time)


def _read(body: str) -> _Record:
    try:
        return _Notice.model_validate_json(body).Records[0]
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        if first["type"] == "json_invalid" or not first["loc"]:
            raise UndecodableBody("the body is not a JSON object") from None
        path = "".join(f"[{at}]" if isinstance(at, int) else f".{at}" for at in first["loc"])
        raise InvalidEvent(first["msg"], where=f"${path}", contract=_TYPE) from None


def _of_notice(record: _Record) -> Envelope:
    key = unquote_plus(record.s3.object.key)
    parts = key.split("/")
    if len(parts) < 3:
        reason = "the object's key is not of the form <kind>/<tenant>/..."
        raise InvalidEvent(reason, where="$.Records[0].s3.object.key", contract=_TYPE)
    try:
        stored = ObjectStored(
            bucket=record.s3.bucket.name,
            key=key,
            bytes_count=record.s3.object.size,
            etag=record.s3.object.eTag.strip('"'),
        )
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise InvalidEvent(first["msg"], where="$.Records[0].s3", contract=_TYPE) from None
    return _wrapped(stored, parts[1], record.eventTime)


def _wrapped(stored: ObjectStored, tenant: str, at: UtcDatetime) -> Envelope:
    return wrap(
        stored,
        tenant=tenant,
        source=f"/aws/s3/{stored.bucket}",
        now=at,
        id=str(uuid.uuid5(_NAMESPACE, f"{stored.bucket}\n{stored.default_dedupe_key()}")),
    )
