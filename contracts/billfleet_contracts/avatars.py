"""The avatars family: an object arrived in the uploads bucket, and what became of the picture.

`ObjectStored` is translated from what Amazon S3 writes to the queue (see `forms`); the avatar
worker reads it and announces the others. These models must not know buckets' clients or images.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from billfleet_contracts.event import Event, short_digest
from billfleet_contracts.fields import AccountId, AmountMinor

ObjectKey = Annotated[str, Field(min_length=1, max_length=1024)]
BucketName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,62}$")]
SizePx = Annotated[int, Field(ge=16, le=2048)]
SIZES_MAX = 8


class ObjectStored(Event):
    """Fact from S3: an object was written. `notice` is `test` for the one that S3 sends by itself.

    `etag` tells two uploads under one key apart; S3 announces either more than once.
    """

    TYPE: ClassVar[str] = "billfleet.avatars.object_stored.v1"

    notice: Literal["created", "test"] = "created"
    bucket: BucketName
    key: ObjectKey
    bytes_count: AmountMinor
    etag: Annotated[str, Field(pattern=r"^[\x21-\x7e]*$", max_length=128)] = ""

    def subject(self) -> str | None:
        """None: a key may hold what a subject may not."""
        return None

    def default_dedupe_key(self) -> str:
        """One content under one key."""
        return f"{self.short_name()}:{short_digest([self.bucket, self.key, self.etag])}"


class AvatarImage(BaseModel):
    """One finished picture: a square of so many pixels, in the files bucket."""

    model_config = ConfigDict(defer_build=True, frozen=True, extra="forbid", strict=True)

    size_px: SizePx
    object_key: ObjectKey
    content_type: Literal["image/jpeg", "image/png", "image/webp"]
    bytes_count: AmountMinor


class _OfUpload(Event):
    """Facts about one upload of one customer."""

    customer_id: AccountId
    upload_id: AccountId

    def subject(self) -> str | None:
        """The customer."""
        return self.customer_id

    def default_dedupe_key(self) -> str:
        """An upload comes to one end."""
        return f"{self.short_name()}:{short_digest([self.customer_id, self.upload_id])}"


class AvatarReady(_OfUpload):
    """Fact: an upload was a good picture, and these are its sizes."""

    TYPE: ClassVar[str] = "billfleet.avatars.avatar_ready.v1"

    images: Annotated[
        tuple[AvatarImage, ...], Field(min_length=1, max_length=SIZES_MAX, strict=False)
    ]


class AvatarRefused(_OfUpload):
    """Fact: an upload was not taken: no picture, too large, or of nobody that we know."""

    TYPE: ClassVar[str] = "billfleet.avatars.avatar_refused.v1"

    reason: Annotated[str, Field(pattern=r"^[a-z_]{1,64}$")]
