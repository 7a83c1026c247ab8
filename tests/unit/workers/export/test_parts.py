"""Bytes go up in parts, two on their way while the next one fills, and never a fourth."""

import asyncio
import hashlib

import pytest

from billfleet_workers.handlers.export.errors import ExportRefused
from billfleet_workers.handlers.export.parts import PART_BYTES, PartWriter
from billfleet_workers.runtime.errors import Unavailable
from billfleet_workers.runtime.ports.objects import PART_BYTES_MIN, PARTS_MAX


class SlowUpload:
    """Parts arrive only when the test says so."""

    key = "exports/acme/x"

    def __init__(self) -> None:
        self.arrived: list[bytes] = []
        self.sending = 0
        self.gate = asyncio.Event()
        self.began = asyncio.Event()
        self.error: Exception | None = None

    async def put_part(self, number: int, body: bytes | bytearray) -> None:
        self.sending += 1
        self.began.set()
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        assert number == len(self.arrived) + 1
        self.arrived.append(bytes(body))
        self.sending -= 1

    async def complete(self, *, if_absent: bool = False) -> None:
        raise AssertionError("a writer never completes")

    async def abort(self) -> None:
        raise AssertionError("a writer never aborts")


async def settle() -> None:
    for _ in range(50):
        await asyncio.sleep(0)


async def test_writer_waits_for_the_store_with_two_parts_on_their_way_and_one_in_hand() -> None:
    """R81: back-pressure; what is held is three parts, however much is written."""
    upload = SlowUpload()
    parts = PartWriter(upload, part_bytes=4)
    await parts.write(b"aaaa")
    await parts.write(b"bbbb")
    waiting = asyncio.create_task(parts.write(b"cccc"))
    await settle()
    assert not waiting.done()
    assert upload.sending == 2
    upload.gate.set()
    await waiting
    digest = await parts.finish()
    assert upload.arrived == [b"aaaa", b"bbbb", b"cccc"]
    assert digest == hashlib.sha256(b"aaaabbbbcccc").hexdigest()
    assert (parts.bytes_count, parts.parts) == (12, 3)


async def test_pieces_of_any_size_become_parts_that_are_big_enough() -> None:
    upload = SlowUpload()
    upload.gate.set()
    parts = PartWriter(upload, part_bytes=5)
    for piece in (b"a", b"bcdefghijkl", b"", b"mn", b"o"):
        await parts.write(piece)
    await parts.finish()
    assert upload.arrived == [b"abcdefghijkl", b"mno"]


async def test_nothing_written_is_one_empty_part() -> None:
    upload = SlowUpload()
    upload.gate.set()
    parts = PartWriter(upload)
    assert await parts.finish() == hashlib.sha256(b"").hexdigest()
    assert upload.arrived == [b""]


async def test_part_that_fails_stops_the_writer() -> None:
    """R82."""
    upload = SlowUpload()
    upload.gate.set()
    upload.error = Unavailable("S3", "away")
    parts = PartWriter(upload, part_bytes=2)
    await parts.write(b"aa")
    await parts.write(b"bb")
    with pytest.raises(Unavailable):
        await parts.write(b"cc")
    await parts.stop()


async def test_last_part_that_fails_is_no_complete_file() -> None:
    """R82."""
    upload = SlowUpload()
    upload.gate.set()
    upload.error = Unavailable("S3", "away")
    parts = PartWriter(upload, part_bytes=2)
    await parts.write(b"a")
    with pytest.raises(Unavailable):
        await parts.finish()
    await parts.stop()


async def test_stopped_writer_leaves_nothing_on_its_way() -> None:
    upload = SlowUpload()
    parts = PartWriter(upload, part_bytes=2)
    await parts.write(b"aa")
    await parts.write(b"bb")
    await upload.began.wait()
    await parts.stop()
    upload.gate.set()
    await settle()
    assert upload.arrived == []


async def test_more_parts_than_the_store_takes_are_refused() -> None:
    """R81."""
    upload = SlowUpload()
    upload.gate.set()
    parts = PartWriter(upload, part_bytes=1)
    parts.parts = PARTS_MAX
    with pytest.raises(ExportRefused, match="narrow the filters"):
        await parts.write(b"a")


def test_parts_are_as_big_as_the_store_wants_them() -> None:
    """R81."""
    assert PART_BYTES >= PART_BYTES_MIN
