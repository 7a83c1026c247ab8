"""What the front door borrows from the fleet: records of work, and addresses of files.

Called by `billfleet gateway`, which may not know adapters. Nothing is asked of AWS here.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from billfleet_workers.adapters.dynamodb import DynamoDedupeStore
from billfleet_workers.adapters.s3_objects import S3ObjectStore
from billfleet_workers.adapters.s3_uploads import UploadAddresses
from billfleet_workers.main.shared import open_aws_clients
from billfleet_workers.runtime.clock import Clock, SystemClock
from billfleet_workers.runtime.ports.dedupe import DedupeStore, Record
from billfleet_workers.runtime.ports.objects import ObjectStore
from billfleet_workers.settings import Settings

__all__ = ["FrontDoorParts", "Record", "open_front_door"]


@dataclass(frozen=True)
class FrontDoorParts:
    """The ports of the front door and the clock."""

    dedupe: DedupeStore
    objects: ObjectStore
    uploads: UploadAddresses
    clock: Clock


@asynccontextmanager
async def open_front_door(settings: Settings) -> AsyncIterator[FrontDoorParts]:
    """All ports on AWS, closed at the end."""
    clock = SystemClock()
    clients = open_aws_clients(settings, clock)
    async with AsyncExitStack() as closing:
        dedupe = await DynamoDedupeStore.open(clients, stack=settings.stack, clock=clock)
        closing.push_async_callback(dedupe.close)
        objects = await S3ObjectStore.open(clients, bucket=settings.bucket())
        closing.push_async_callback(objects.close)
        uploads = await UploadAddresses.open(clients, bucket=settings.uploads())
        closing.push_async_callback(uploads.close)
        yield FrontDoorParts(dedupe, objects, uploads, clock)
