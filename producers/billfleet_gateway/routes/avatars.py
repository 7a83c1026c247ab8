"""Avatars: ask for an address to upload to, and look at what became of the picture.

The picture goes to the uploads bucket and not through here; the avatar worker hears of it from
S3. The backend is told by webhook (AvatarReady, AvatarRefused).
"""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Depends, Response
from pydantic import Field
from sqlalchemy.ext.asyncio import AsyncConnection

from billfleet_contracts.avatars import SIZES_MAX, SizePx
from billfleet_db import avatars
from billfleet_db.customers import get_customers
from billfleet_gateway.answers import Answer, Once, once, shown
from billfleet_gateway.callers import Needs
from billfleet_gateway.credentials import Caller
from billfleet_gateway.door import Door, TheDoor
from billfleet_gateway.fields import AnId, Closed, View
from billfleet_gateway.ports import FileStore
from billfleet_gateway.problems import not_found, unavailable

router = APIRouter(prefix="/v1", tags=["avatars"])
Reader = Annotated[Caller, Depends(Needs("avatars:read"))]
Writer = Annotated[Caller, Depends(Needs("avatars:write"))]
UPLOAD_S = 900
READ_S = 3600
SIZES_METADATA = "sizes"


class UploadAsked(Closed):
    """A picture that will be uploaded, and the squares that are wanted of it, in pixels."""

    content_type: Literal["image/jpeg", "image/png", "image/webp", "image/gif"]
    sizes_px: Annotated[list[SizePx], Field(min_length=1, max_length=SIZES_MAX)] = Field(
        default=[64, 256, 512]
    )


class UploadView(View):
    """Where to PUT the picture, with exactly these headers."""

    upload_id: str
    url: str
    method: Literal["PUT"] = "PUT"
    headers: dict[str, str]
    expires_at: datetime


class ImageView(View):
    """One finished square."""

    size_px: int
    content_type: str
    bytes_count: int
    url: str


class AvatarView(View):
    """A customer's latest picture."""

    customer_id: str
    upload_id: str
    images: list[ImageView]


@router.post("/customers/{customer_id}/avatar", status_code=201, response_model=UploadView)
async def ask_for_upload(
    customer_id: AnId, body: Annotated[UploadAsked, Body()], caller: Writer, asked: Once
) -> Response:
    """Get an address that takes one picture, for a quarter of an hour."""
    store = _store(asked.door)

    async def offer(connection: AsyncConnection) -> Answer:
        if not await get_customers(connection, caller.tenant, [customer_id]):
            raise not_found("customer")
        upload_id = uuid.uuid4().hex
        sizes = ",".join(str(size) for size in sorted(set(body.sizes_px)))
        url = await store.address_to_upload(
            avatars.upload_key(caller.tenant, customer_id, upload_id),
            expires_s=UPLOAD_S,
            content_type=body.content_type,
            metadata={SIZES_METADATA: sizes},
        )
        view = UploadView(
            upload_id=upload_id,
            url=url,
            headers={"Content-Type": body.content_type, f"x-amz-meta-{SIZES_METADATA}": sizes},
            expires_at=asked.door.now() + timedelta(seconds=UPLOAD_S),
        )
        return Answer(201, view)

    return await once(asked, caller, offer)


@router.get("/customers/{customer_id}/avatar", response_model=AvatarView)
async def get_avatar(customer_id: AnId, caller: Reader, door: TheDoor) -> Response:
    """The customer's picture in its sizes, with addresses that hold for an hour."""
    store = _store(door)
    async with door.of_tenant(caller.tenant) as connection:
        latest = await avatars.latest(connection, caller.tenant, customer_id)
    if latest is None:
        raise not_found("avatar")
    images = [await _image(store, image) for image in latest.images]
    return shown(AvatarView(customer_id=customer_id, upload_id=latest.upload_id, images=images))


async def _image(store: FileStore, image: dict[str, Any]) -> ImageView:
    url = await store.address_to_read(
        image["object_key"],
        expires_s=READ_S,
        file_name=None,
        content_type=image["content_type"],
    )
    return ImageView(
        size_px=image["size_px"],
        content_type=image["content_type"],
        bytes_count=image["bytes_count"],
        url=url,
    )


def _store(door: Door) -> FileStore:
    if door.files is None:
        raise unavailable("The file store", door.options.retry_after_s)
    return door.files
