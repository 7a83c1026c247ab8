"""The `avatar` worker: turns uploaded pictures into avatars."""

from typing import Final

from billfleet_contracts import ObjectStored
from billfleet_workers.main.fleet_workers.spec import Handlers, WorkerSpec
from billfleet_workers.main.permissions import gets_files, lists_files, puts_files
from billfleet_workers.main.shared import SOURCE, Shared

UPLOADS_BUCKET: Final = "uploads"


async def _open(shared: Shared) -> Handlers:
    from billfleet_workers.adapters.s3_objects import S3ObjectStore
    from billfleet_workers.handlers.avatar import AvatarHandler, AvatarStores, PictureLimits

    settings = shared.settings
    uploads = await S3ObjectStore.open(shared.clients, bucket=settings.uploads())
    shared.closing.push_async_callback(uploads.close)
    handler = AvatarHandler(
        shared.database,
        AvatarStores(uploads, await shared.open_objects()),
        shared.clock,
        shared.metrics,
        PictureLimits(settings.avatar_bytes_max, settings.avatar_pixels_max),
        source=f"{SOURCE}/avatar",
    )
    return {ObjectStored.TYPE: handler}


WORKER: Final = WorkerSpec(
    "avatar",
    "turns uploaded pictures into avatars, and tells the backend",
    _open,
    permissions=(
        *gets_files("avatars/", bucket=UPLOADS_BUCKET),
        *lists_files(bucket=UPLOADS_BUCKET),
        *puts_files("avatars/"),
    ),
)
