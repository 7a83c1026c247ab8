"""The object store port in memory, for tests and simulations of whoever writes files; yours too.

It keeps objects and open uploads in dictionaries, which a test may look into. `faults` makes it
fail on request. Parts may be of any size here only when the last; the real store's rule is kept.
"""

import hashlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from typing import Final
from urllib.parse import quote

from billfleet_workers.adapters.memory_faults import Faults
from billfleet_workers.runtime.clock import Clock
from billfleet_workers.runtime.ports.objects import (
    PART_BYTES_MIN,
    ObjectEntry,
    ObjectExists,
    ObjectHead,
    ObjectMissing,
    UploadGone,
)

ADDRESS: Final = "memory://objects"


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object as it lies in memory."""

    body: bytes
    content_type: str
    metadata: Mapping[str, str]
    modified_at: datetime

    @property
    def head(self) -> ObjectHead:
        """What `head` answers."""
        etag = hashlib.sha256(self.body).hexdigest()[:32]
        return ObjectHead(len(self.body), self.content_type, etag, dict(self.metadata))


@dataclass(slots=True)
class _Open:
    content_type: str
    metadata: Mapping[str, str]
    parts: dict[int, bytes] = field(default_factory=dict)


class MemoryObjectStore:
    """Objects in a dictionary."""

    def __init__(self, clock: Clock) -> None:
        self.faults = Faults("the object store in memory")
        self.objects: dict[str, StoredObject] = {}
        self.uploads: dict[tuple[str, int], _Open] = {}
        self.clock = clock
        self._numbers = count(1)

    async def put(
        self,
        key: str,
        body: bytes,
        *,
        content_type: str,
        metadata: Mapping[str, str] | None = None,
        if_absent: bool = False,
    ) -> None:
        """Keep an object."""
        self.faults.before()
        self.keep(key, body, content_type, metadata or {}, if_absent=if_absent)
        self.faults.after("put")

    async def get(self, key: str) -> bytes:
        """Give an object's bytes."""
        self.faults.before()
        return self._found(key).body

    async def head(self, key: str) -> ObjectHead:
        """Give what is known about an object."""
        self.faults.before()
        return self._found(key).head

    async def stream(self, key: str, chunk_bytes: int = 1024 * 1024) -> AsyncIterator[bytes]:
        """Give an object's bytes in pieces."""
        self.faults.before()
        body = self._found(key).body
        for start in range(0, len(body), chunk_bytes):
            yield body[start : start + chunk_bytes]

    async def delete(self, key: str) -> None:
        """Forget an object."""
        self.faults.before()
        self.objects.pop(key, None)

    async def list(self, prefix: str) -> AsyncIterator[ObjectEntry]:
        """Give the objects under a prefix."""
        self.faults.before()
        for key, stored in sorted(self.objects.items()):
            if key.startswith(prefix):
                yield ObjectEntry(key, len(stored.body), stored.modified_at)

    async def presign(
        self, key: str, *, expires_s: int, file_name: str | None, content_type: str
    ) -> str:
        """An address that only this store understands."""
        self.faults.before()
        named = f"&file={quote(file_name, safe='')}" if file_name else ""
        return f"{ADDRESS}/{quote(key)}?expires_s={expires_s}&type={quote(content_type)}{named}"

    async def begin_upload(
        self, key: str, *, content_type: str, metadata: Mapping[str, str] | None = None
    ) -> "MemoryUpload":
        """Start an object of parts."""
        self.faults.before()
        number = next(self._numbers)
        self.uploads[key, number] = _Open(content_type, metadata or {})
        return MemoryUpload(self, key, number)

    async def abort_uploads(self, prefix: str) -> int:
        """Drop the open uploads under a prefix."""
        self.faults.before()
        ended = [place for place in self.uploads if place[0].startswith(prefix)]
        for place in ended:
            del self.uploads[place]
        return len(ended)

    async def close(self) -> None:
        """Nothing to let go of."""

    def keep(
        self,
        key: str,
        body: bytes,
        content_type: str,
        metadata: Mapping[str, str],
        *,
        if_absent: bool,
    ) -> None:
        """Put an object where it can be seen."""
        if if_absent and key in self.objects:
            raise ObjectExists(key)
        self.objects[key] = StoredObject(body, content_type, dict(metadata), self.clock.now())

    def _found(self, key: str) -> StoredObject:
        if key not in self.objects:
            raise ObjectMissing(key)
        return self.objects[key]


class MemoryUpload:
    """Parts in a dictionary of the store."""

    def __init__(self, store: MemoryObjectStore, key: str, number: int) -> None:
        self.key = key
        self.number = number
        self._store = store
        self._place = (key, number)

    async def put_part(self, number: int, body: bytes | bytearray) -> None:
        """Keep a part."""
        self._store.faults.before()
        self._open().parts[number] = bytes(body)
        self._store.faults.after("put_part")

    async def complete(self, *, if_absent: bool = False) -> None:
        """Make the object of the parts."""
        self._store.faults.before()
        upload = self._open()
        parts = [part for _, part in sorted(upload.parts.items())]
        if any(len(part) < PART_BYTES_MIN for part in parts[:-1]):
            raise ValueError(f"{self.key}: a part before the last is below {PART_BYTES_MIN} bytes")
        self._store.keep(
            self.key, b"".join(parts), upload.content_type, upload.metadata, if_absent=if_absent
        )
        del self._store.uploads[self._place]
        self._store.faults.after("complete")

    async def abort(self) -> None:
        """Forget the parts."""
        self._store.faults.before()
        self._store.uploads.pop(self._place, None)

    def _open(self) -> _Open:
        if self._place not in self._store.uploads:
            raise UploadGone(self.key)
        return self._store.uploads[self._place]
