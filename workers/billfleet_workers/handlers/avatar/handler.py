"""The life of an upload: S3 says that it arrived, and it becomes squares or a refusal.

The runtime calls it with what S3 announced. Pictures are written before the transaction that
announces them, under keys that follow from the upload: what is done twice writes the same bytes to
the same place, and is announced once.
"""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from billfleet_contracts import (
    ACCOUNT_PATTERN,
    AvatarImage,
    AvatarReady,
    AvatarRefused,
    Envelope,
    ObjectStored,
)
from billfleet_contracts.avatars import SIZES_MAX
from billfleet_db import Database, avatars, outbox
from billfleet_db.avatars import Avatar
from billfleet_db.customers import get_customers
from billfleet_workers.handlers.avatar.picture import (
    PictureLimits,
    PictureRefused,
    Square,
    squares,
)
from billfleet_workers.handlers.outbox_rows import outbox_row
from billfleet_workers.handlers.unit_of_work import transaction
from billfleet_workers.runtime.clock import Clock
from billfleet_workers.runtime.errors import Permanent
from billfleet_workers.runtime.handling import Finished, Work
from billfleet_workers.runtime.ports.metrics import Metrics
from billfleet_workers.runtime.ports.objects import ObjectMissing, ObjectStore

DEFAULT_SIZES_PX: Final = (64, 256, 512)
SIZES_METADATA: Final = "sizes"
SIZE_PX_MIN, SIZE_PX_MAX = 16, 2048
_ID: Final = re.compile(ACCOUNT_PATTERN)


@dataclass(frozen=True, slots=True)
class AvatarStores:
    """Where pictures come from, and where they go."""

    uploads: ObjectStore
    files: ObjectStore


@dataclass(frozen=True, slots=True)
class Upload:
    """Whose picture it is, as its key says."""

    tenant: str
    customer_id: str
    upload_id: str


class AvatarHandler:
    """Turns uploads into avatars."""

    def __init__(
        self,
        database: Database,
        stores: AvatarStores,
        clock: Clock,
        metrics: Metrics,
        limits: PictureLimits,
        source: str = "/billfleet/avatar",
    ) -> None:
        self._database = database
        self._stores = stores
        self._clock = clock
        self._metrics = metrics
        self._limits = limits
        self._source = source

    async def handle(self, work: Work) -> Finished:
        """Look at what arrived, once.

        Raises:
            Permanent: the key is none of an avatar, or the object is not there.
            Unavailable: the object store or PostgreSQL can't be reached.
        """
        event = work.envelope.data
        if not isinstance(event, ObjectStored):
            raise Permanent(f"the avatar worker does not handle {work.envelope.type}")
        if event.notice == "test":
            return Finished({"test": 1})
        upload = _upload_of(event.key, work.envelope.tenant)
        async with transaction(self._database) as connection:
            known = await avatars.find(
                connection, upload.tenant, upload.customer_id, upload.upload_id
            )
            people = await get_customers(connection, upload.tenant, [upload.customer_id])
        if known is not None:
            return Finished({"already_done": 1})
        if not people:
            return await self._end(work.envelope, upload, refused="unknown_customer")
        try:
            drawn = await self._draw(event)
        except PictureRefused as refused:
            return await self._end(work.envelope, upload, refused=refused.reason)
        images = [await self._keep(work.envelope, upload, square) for square in drawn]
        return await self._end(work.envelope, upload, images=images)

    async def _draw(self, event: ObjectStored) -> list[Square]:
        try:
            head = await self._stores.uploads.head(event.key)
            if head.bytes_count > self._limits.bytes_max:
                raise PictureRefused("too_large")
            raw = await self._read(event.key)
        except ObjectMissing as error:
            raise Permanent(f"the upload is not there: {error}") from error
        sizes_px = _sizes(head.metadata.get(SIZES_METADATA, ""))
        # Decoding takes the processor for a while; other messages go on meanwhile.
        return await asyncio.to_thread(squares, raw, sizes_px, self._limits)

    async def _read(self, key: str) -> bytes:
        """Read it, but no more than is taken on: it may have been replaced since we looked."""
        parts, bytes_count = [], 0
        async for part in self._stores.uploads.stream(key):
            bytes_count += len(part)
            if bytes_count > self._limits.bytes_max:
                raise PictureRefused("too_large")
            parts.append(part)
        return b"".join(parts)

    async def _keep(self, envelope: Envelope, upload: Upload, square: Square) -> AvatarImage:
        key = _image_key(upload, square, envelope.time)
        await self._stores.files.put(key, square.body, content_type=square.content_type)
        return AvatarImage(
            size_px=square.size_px,
            object_key=key,
            content_type=square.content_type,
            bytes_count=len(square.body),
        )

    async def _end(
        self,
        envelope: Envelope,
        upload: Upload,
        *,
        images: Sequence[AvatarImage] = (),
        refused: str | None = None,
    ) -> Finished:
        now = self._clock.now()
        announced = _announcement(upload, images, refused)
        ended = Avatar(
            upload.customer_id,
            upload.upload_id,
            "ready" if refused is None else "refused",
            refused,
            [image.model_dump(mode="json") for image in images],
        )
        async with transaction(self._database) as connection:
            if await avatars.record(connection, upload.tenant, ended, now=now):
                row = outbox_row(
                    announced,
                    tenant=upload.tenant,
                    source=self._source,
                    now=now,
                    traceparent=envelope.traceparent,
                )
                await outbox.add(connection, [row])
        self._metrics.count("avatars", result=refused or "ready")
        return Finished({refused or "images": len(images) or 1})


def _announcement(
    upload: Upload, images: Sequence[AvatarImage], refused: str | None
) -> AvatarReady | AvatarRefused:
    if refused is None:
        return AvatarReady(
            customer_id=upload.customer_id, upload_id=upload.upload_id, images=tuple(images)
        )
    return AvatarRefused(customer_id=upload.customer_id, upload_id=upload.upload_id, reason=refused)


def _upload_of(key: str, tenant: str) -> Upload:
    parts = key.split("/")
    is_avatar = len(parts) == 4 and parts[:2] == ["avatars", tenant]
    if not is_avatar or not all(_ID.fullmatch(part) for part in parts[2:]):
        raise Permanent("the object's key is not avatars/<tenant>/<customer>/<upload>")
    return Upload(tenant, parts[2], parts[3])


def _image_key(upload: Upload, square: Square, at: datetime) -> str:
    name = f"{upload.upload_id}-{square.size_px}.{square.extension}"
    return f"avatars/{upload.tenant}/{at:%Y}/{at:%m}/{upload.customer_id}-{name}"


def _sizes(asked: str) -> tuple[int, ...]:
    """The sizes that were asked for; what makes no sense of it is left out."""
    given = {int(size) for size in asked.split(",") if size.strip().isdigit() and len(size) < 6}
    taken = sorted(size for size in given if SIZE_PX_MIN <= size <= SIZE_PX_MAX)
    return tuple(taken[:SIZES_MAX]) or DEFAULT_SIZES_PX
