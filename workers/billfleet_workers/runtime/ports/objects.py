"""The object store port: files by key, whole or in parts, and addresses that open one of them.

Handlers put bills, exports, reports and mails here; the gateway presigns for a reader. An upload in
parts is invisible until it is completed, and gone when it is aborted. Keys begin with the kind and
the tenant (`exports/acme/2026/11/…`). It must not know what a file says, nor who may read it.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol

PART_BYTES_MIN: Final = 5 * 1024 * 1024
"""Every part but the last is at least this big."""
PARTS_MAX: Final = 10_000
PRESIGN_S_MAX: Final = 7 * 24 * 3600
"""A signed address lives no longer, and dies earlier with the credentials that signed it."""


class ObjectError(Exception):
    """The store answered, and the answer concerns this one object."""

    def __init__(self, key: str, what: str) -> None:
        super().__init__(f"{key}: {what}")
        self.key = key


class ObjectMissing(ObjectError):
    """There is no object of this key: it never was, it was deleted, or its life is over."""

    def __init__(self, key: str) -> None:
        super().__init__(key, "there is no such object")


class ObjectExists(ObjectError):
    """The object was to be new, and there is one already. Nothing was changed."""

    def __init__(self, key: str) -> None:
        super().__init__(key, "there is an object of this key already")


class UploadGone(ObjectError):
    """The upload was aborted or completed by somebody else. What it held is not an object."""

    def __init__(self, key: str) -> None:
        super().__init__(key, "its upload has been ended by somebody else")


@dataclass(frozen=True, slots=True)
class ObjectHead:
    """What is known about an object without reading it."""

    bytes_count: int
    content_type: str
    etag: str
    metadata: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ObjectEntry:
    """One object of a listing."""

    key: str
    bytes_count: int
    modified_at: datetime


class Upload(Protocol):
    """An object that is being written in parts. Whoever began it completes or aborts it."""

    @property
    def key(self) -> str:
        """The key that the object will have."""
        ...

    async def put_part(self, number: int, body: bytes | bytearray) -> None:
        """Send a part; numbers count from 1, and several parts may be on their way at once.

        A `bytearray` is the store's from now on, which saves it a copy.

        Raises:
            UploadGone: somebody ended the upload.
            Unavailable: the store does not answer; the same part may be sent again.
        """
        ...

    async def complete(self, *, if_absent: bool = False) -> None:
        """Turn the parts into the object, all at once.

        Raises:
            ObjectExists: `if_absent` was asked and there is one; the upload is still open.
            UploadGone: somebody ended the upload.
            Unavailable: the store does not answer; whether the object is there is unknown.
        """
        ...

    async def abort(self) -> None:
        """Drop the parts. Safe to call twice, and after somebody else ended the upload."""
        ...


class ObjectStore(Protocol):
    """Objects of one bucket, always encrypted. Every call may raise `Unavailable`."""

    async def put(
        self,
        key: str,
        body: bytes,
        *,
        content_type: str,
        metadata: Mapping[str, str] | None = None,
        if_absent: bool = False,
    ) -> None:
        """Write an object in one go; `ObjectExists` if it was to be new and is not."""
        ...

    async def get(self, key: str) -> bytes:
        """Read a whole object, which should be a small one; `ObjectMissing` if there is none."""
        ...

    async def head(self, key: str) -> ObjectHead:
        """What is known about an object; `ObjectMissing` if there is none."""
        ...

    def stream(self, key: str, chunk_bytes: int = 1024 * 1024) -> AsyncIterator[bytes]:
        """Read an object piece by piece; `ObjectMissing` if there is none."""
        ...

    async def delete(self, key: str) -> None:
        """Remove an object; nothing happens when there is none."""
        ...

    def list(self, prefix: str) -> AsyncIterator[ObjectEntry]:
        """Every object whose key begins with the prefix, in the order of keys."""
        ...

    async def presign(
        self, key: str, *, expires_s: int, file_name: str | None, content_type: str
    ) -> str:
        """An address that lets anybody read the object for so long, under the given file name."""
        ...

    async def begin_upload(
        self, key: str, *, content_type: str, metadata: Mapping[str, str] | None = None
    ) -> Upload:
        """Start writing an object in parts."""
        ...

    async def abort_uploads(self, prefix: str) -> int:
        """Abort every unfinished upload whose key begins with the prefix; returns how many."""
        ...

    async def close(self) -> None:
        """Let go of connections. Safe to call twice."""
        ...
