"""Claim checks: what stands in a message's body when the body itself was left in S3.

The pointer format is that of the Amazon SQS Extended Client Library, so that its readers in any
language understand ours and we understand its writers. Used by the producers, which leave bodies,
and by the workers, which fetch them. It must not know an AWS client.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Final

POINTER_CLASS: Final = "software.amazon.payloadoffloading.PayloadS3Pointer"
SIZE_ATTRIBUTE: Final = "ExtendedPayloadSize"
"""The message attribute (a Number) by which the Extended Client knows a pointer."""

_START: Final = f'["{POINTER_CLASS}"'


@dataclass(frozen=True, slots=True)
class Pointer:
    """Where the body is: a bucket and a key."""

    bucket: str
    key: str

    def encode(self) -> str:
        """The body that travels in its place."""
        where = {"s3BucketName": self.bucket, "s3Key": self.key}
        return json.dumps([POINTER_CLASS, where], separators=(",", ":"))


def read_pointer(body: str) -> Pointer | None:
    """The pointer that a body consists of; None for any other body, a broken pointer included."""
    if not body.lstrip().startswith(_START):
        return None
    try:
        match json.loads(body):
            case [str(), {"s3BucketName": str(bucket), "s3Key": str(key)}] if bucket and key:
                return Pointer(bucket, key)
    except (ValueError, RecursionError):
        return None
    return None
