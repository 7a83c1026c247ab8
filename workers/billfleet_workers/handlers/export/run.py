"""One run of an export: snapshot, upload, rows, and the one moment in which it becomes a file.

The handler starts it when the export is its own. Until the last step nothing can be seen, and
whatever goes wrong before leaves nothing behind: parts are aborted, and those of a worker that died
are swept away first. A run that lost its lease finds its upload gone when it tries to complete it.
"""

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from billfleet_contracts import object_key, safe_file_name
from billfleet_db import Database, exports
from billfleet_db.datasets import Selection
from billfleet_db.exports import Export, Run
from billfleet_db.files import FILE_LIFE_DAYS, NewFile
from billfleet_db.snapshots import open_snapshot
from billfleet_workers.handlers.export.errors import ExportCancelled, RunLost
from billfleet_workers.handlers.export.formats import FORMATS, Format, Order
from billfleet_workers.handlers.export.manifest import manifest_of
from billfleet_workers.handlers.export.parts import PART_BYTES, PartWriter
from billfleet_workers.handlers.unit_of_work import database_errors, transaction
from billfleet_workers.runtime.clock import Clock
from billfleet_workers.runtime.errors import DeliveryError, Transient
from billfleet_workers.runtime.ports.objects import (
    ObjectExists,
    ObjectMissing,
    ObjectStore,
    Upload,
    UploadGone,
)

LEASE: Final = timedelta(seconds=60)
LOOKS_PER_LEASE: Final = 12
TIMEOUT_S: Final = 6 * 3600.0


@dataclass(frozen=True, slots=True)
class Workshop:
    """What a run needs."""

    database: Database
    objects: ObjectStore
    clock: Clock
    part_bytes: int = PART_BYTES
    lease: timedelta = LEASE
    """How long a run may be silent before another one takes its place."""


@dataclass(frozen=True, slots=True)
class Made:
    """A complete file that nobody knows of yet."""

    file: NewFile
    manifest: Mapping[str, Any]
    rows: int


class ExportRun:
    """One worker's go at one export."""

    def __init__(self, shop: Workshop, run: Run, export: Export, selection: Selection) -> None:
        self.shop = shop
        self.run = run
        self.export = export
        self.selection = selection
        self._parts: PartWriter | None = None

    async def make(self) -> Made:
        """Write the file, under watch.

        Raises:
            ExportRefused: it can't be written like that.
            ExportCancelled: somebody asked for it to be stopped.
            RunLost: another worker has it now.
            DeliveryError: a dependency failed; nothing is left behind.
        """
        work = asyncio.create_task(self._write())
        try:
            await self._watch(work)
            return await work
        finally:
            if not work.done():
                work.cancel()
                # Its parts are being aborted; a second cancellation must not stop that half way.
                await asyncio.shield(asyncio.wait([work]))

    async def _watch(self, work: "asyncio.Task[Made]") -> None:
        """Report progress and keep the lease until the work ends or should."""
        look_every_s = self.shop.lease.total_seconds() / LOOKS_PER_LEASE
        while not work.done():
            tick = asyncio.create_task(self.shop.clock.sleep(look_every_s))
            try:
                await asyncio.wait([work, tick], return_when=asyncio.FIRST_COMPLETED)
            finally:
                tick.cancel()
            if not work.done():
                await self._look()

    async def _look(self, *, may_stop: bool = True) -> None:
        """Report progress and extend the lease; learn whether this run should go on."""
        parts = self._parts
        rows, bytes_count = (parts.rows_seen, parts.bytes_count) if parts else (0, 0)
        until = self.shop.clock.now() + self.shop.lease
        async with transaction(self.shop.database) as connection:
            held = await exports.advance(
                connection, self.run, rows=rows, bytes_count=bytes_count, until=until
            )
        if held == "cancelled" and may_stop:
            raise ExportCancelled
        if held == "lost":
            raise RunLost

    async def _write(self) -> Made:
        form = FORMATS[self.export.format]
        name = _file_name(self.export, form)
        key = object_key(
            "exports",
            self.export.tenant_id,
            self.export.requested_at,
            self.export.export_id,
            name,
        )
        objects = self.shop.objects
        await objects.abort_uploads(key)
        begun_at = self.shop.clock.now()
        upload = await objects.begin_upload(
            key, content_type=form.content_type, metadata={"export-id": str(self.run.export_id)}
        )
        try:
            # Whoever began an upload after us has taken the export over, and says so here.
            await self._look()
            return await self._fill(upload, form, name, begun_at)
        except UploadGone:
            # Whoever took the export over has swept our parts away.
            raise RunLost from None
        except BaseException:
            await asyncio.shield(_abort(upload))
            raise

    async def _fill(self, upload: Upload, form: Format, name: str, begun_at: datetime) -> Made:
        parts = PartWriter(upload, self.shop.part_bytes)
        self._parts = parts
        export = self.export
        order = Order(self.selection, export.tenant_id, export.locale, export.requested_at)
        try:
            with database_errors():
                async with open_snapshot(
                    self.shop.database, export.tenant_id, timeout_s=TIMEOUT_S
                ) as snapshot:
                    rows = await form.writer()(snapshot, order, parts)
            sha256 = await parts.finish()
        except BaseException:
            await parts.stop()
            raise
        await self._look()
        await self._complete(upload, parts.bytes_count)
        file = NewFile(
            tenant_id=export.tenant_id,
            file_id=export.export_id,
            kind="exports",
            object_key=upload.key,
            file_name=name,
            content_type=form.content_type,
            bytes_count=parts.bytes_count,
            sha256=sha256,
            # The store counts an object's days from the beginning of its upload, and so do we.
            created_at=begun_at,
            expires_at=begun_at + timedelta(days=FILE_LIFE_DAYS),
            owner=dict(export.filters),
        )
        manifest = manifest_of(
            self.selection,
            export_id=export.export_id,
            tenant_id=export.tenant_id,
            form=form.name,
            file_name=name,
            rows=rows,
            bytes_count=parts.bytes_count,
            sha256=sha256,
            taken_at=snapshot.taken_at,
            lsn=snapshot.lsn,
        )
        await self._put_manifest(upload.key, manifest)
        return Made(file, manifest, rows)

    async def _complete(self, upload: Upload, bytes_count: int) -> None:
        """Make the object, and look whether it is all there."""
        objects = self.shop.objects
        try:
            await upload.complete(if_absent=True)
        except ObjectExists:
            # Of a run that died between its last two steps: nobody was ever told of it. Unless this
            # run has slept, and the object is that of its successor.
            await self._look()
            await objects.delete(upload.key)
            await upload.complete(if_absent=True)
        try:
            head = await objects.head(upload.key)
        except ObjectMissing:
            raise Transient(f"{upload.key} was completed and is not there") from None
        if head.bytes_count != bytes_count:
            raise Transient(f"{upload.key} has {head.bytes_count} bytes instead of {bytes_count}")

    async def _put_manifest(self, key: str, manifest: Mapping[str, Any]) -> None:
        """Lay the manifest beside the object, once that is there and still ours."""
        await self._look(may_stop=False)
        body = json.dumps(manifest, indent=2, ensure_ascii=False).encode() + b"\n"
        await self.shop.objects.put(
            exports.manifest_key(key), body, content_type="application/json"
        )


def _file_name(export: Export, form: Format) -> str:
    if export.dataset == "statement":
        days = f"{export.filters['posted_from']}-{export.filters['posted_to']}"
        return safe_file_name(f"statement-{export.filters['account_id']}-{days}.{form.ending}")
    return f"{export.dataset.replace('_', '-')}-{export.requested_at:%Y-%m-%d}.{form.ending}"


async def _abort(upload: Upload) -> None:
    """Drop the parts; where the store is away too, the next run or the bucket's rules will."""
    with suppress(DeliveryError):
        await upload.abort()
