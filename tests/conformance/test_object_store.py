"""The exam of the object store port: in memory and on S3."""

import asyncio
import urllib.error
import urllib.request
from base64 import b64encode
from zlib import crc32

import pytest
from aiohttp import web

from billfleet_ops.clients import Clients
from billfleet_workers.adapters.aws_client import AwsClients
from billfleet_workers.adapters.s3_objects import S3ObjectStore
from billfleet_workers.runtime.errors import Misconfigured, Unavailable
from billfleet_workers.runtime.ports.objects import (
    PART_BYTES_MIN,
    ObjectExists,
    ObjectMissing,
    ObjectStore,
    UploadGone,
)
from faulty_endpoint import FaultPlan, FaultyEndpoint

KEY = "exports/acme/2026/11/ledger of März.csv"
TEXT = "text/csv; charset=utf-8"


async def test_what_was_put_is_read_back_with_what_was_said_of_it(objects: ObjectStore) -> None:
    await objects.put(KEY, b"a,b\n", content_type=TEXT, metadata={"tenant": "acme"})
    assert await objects.get(KEY) == b"a,b\n"
    head = await objects.head(KEY)
    assert (head.bytes_count, head.content_type) == (4, TEXT)
    assert head.metadata == {"tenant": "acme"}
    assert head.etag


async def test_putting_again_replaces_the_object(objects: ObjectStore) -> None:
    await objects.put(KEY, b"old", content_type=TEXT)
    await objects.put(KEY, b"new", content_type=TEXT)
    assert await objects.get(KEY) == b"new"


async def test_object_that_must_be_new_is_refused_when_there_is_one(objects: ObjectStore) -> None:
    await objects.put(KEY, b"first", content_type=TEXT, if_absent=True)
    with pytest.raises(ObjectExists, match="already"):
        await objects.put(KEY, b"second", content_type=TEXT, if_absent=True)
    assert await objects.get(KEY) == b"first"


async def test_object_that_is_not_there_is_missing_and_not_an_outage(objects: ObjectStore) -> None:
    for ask in (objects.get(KEY), objects.head(KEY)):
        with pytest.raises(ObjectMissing, match="no such object"):
            await ask
    with pytest.raises(ObjectMissing):
        _ = [chunk async for chunk in objects.stream(KEY)]


async def test_object_is_read_in_pieces_of_the_size_asked(objects: ObjectStore) -> None:
    await objects.put(KEY, b"0123456789", content_type=TEXT)
    assert [chunk async for chunk in objects.stream(KEY, 4)] == [b"0123", b"4567", b"89"]


async def test_deleted_object_is_gone_and_deleting_again_is_nothing(objects: ObjectStore) -> None:
    await objects.put(KEY, b"x", content_type=TEXT)
    await objects.delete(KEY)
    await objects.delete(KEY)
    with pytest.raises(ObjectMissing):
        await objects.head(KEY)


async def test_listing_gives_what_begins_with_the_prefix(objects: ObjectStore) -> None:
    for key in ("exports/acme/b", "exports/acme/a", "exports/bolt/a"):
        await objects.put(key, b"12", content_type=TEXT)
    found = [entry async for entry in objects.list("exports/acme/")]
    assert [(entry.key, entry.bytes_count) for entry in found] == [
        ("exports/acme/a", 2),
        ("exports/acme/b", 2),
    ]
    assert all(entry.modified_at.tzinfo is not None for entry in found)


async def test_parts_become_one_object_only_when_they_are_completed(objects: ObjectStore) -> None:
    """R82."""
    upload = await objects.begin_upload(KEY, content_type=TEXT, metadata={"tenant": "acme"})
    first, last = b"a" * PART_BYTES_MIN, b"z"
    await asyncio.gather(upload.put_part(2, last), upload.put_part(1, first))
    with pytest.raises(ObjectMissing):
        await objects.head(KEY)
    await upload.complete()
    assert await objects.get(KEY) == first + last
    head = await objects.head(KEY)
    assert (head.content_type, head.metadata) == (TEXT, {"tenant": "acme"})


async def test_part_that_is_sent_again_replaces_the_first(objects: ObjectStore) -> None:
    upload = await objects.begin_upload(KEY, content_type=TEXT)
    await upload.put_part(1, b"old")
    await upload.put_part(1, b"new")
    await upload.complete()
    assert await objects.get(KEY) == b"new"


async def test_aborted_upload_leaves_nothing_and_takes_no_more(objects: ObjectStore) -> None:
    """R82."""
    upload = await objects.begin_upload(KEY, content_type=TEXT)
    await upload.put_part(1, b"x")
    await upload.abort()
    await upload.abort()
    with pytest.raises(UploadGone):
        await upload.put_part(2, b"y")
    with pytest.raises(UploadGone):
        await upload.complete()
    with pytest.raises(ObjectMissing):
        await objects.head(KEY)


async def test_completing_what_must_be_new_is_refused_and_leaves_the_upload_open(
    objects: ObjectStore,
) -> None:
    await objects.put(KEY, b"of somebody else", content_type=TEXT)
    upload = await objects.begin_upload(KEY, content_type=TEXT)
    await upload.put_part(1, b"mine")
    with pytest.raises(ObjectExists):
        await upload.complete(if_absent=True)
    assert await objects.get(KEY) == b"of somebody else"
    await objects.delete(KEY)
    await upload.complete(if_absent=True)
    assert await objects.get(KEY) == b"mine"


async def test_uploads_of_the_dead_are_aborted_by_prefix(objects: ObjectStore) -> None:
    """R82."""
    orphan = await objects.begin_upload("exports/acme/1", content_type=TEXT)
    other = await objects.begin_upload("exports/bolt/1", content_type=TEXT)
    await other.put_part(1, b"alive")
    assert await objects.abort_uploads("exports/acme/") == 1
    assert await objects.abort_uploads("exports/acme/") == 0
    with pytest.raises(UploadGone):
        await orphan.put_part(1, b"dead")
    await other.complete()


async def test_presigned_address_says_the_file_name_and_the_type(objects: ObjectStore) -> None:
    await objects.put(KEY, b"x", content_type=TEXT)
    address = await objects.presign(
        KEY, expires_s=60, file_name="ledger.csv", content_type="text/csv"
    )
    assert "ledger.csv" in address
    assert "60" in address


async def test_store_that_cannot_be_reached_is_unavailable(away_objects: ObjectStore) -> None:
    with pytest.raises(Unavailable):
        await away_objects.get(KEY)
    with pytest.raises(Unavailable):
        await away_objects.put(KEY, b"x", content_type=TEXT)
    with pytest.raises(Unavailable):
        await away_objects.begin_upload(KEY, content_type=TEXT)


async def test_missing_bucket_is_misconfigured_and_says_what_to_do(
    aws_environment: dict[str, str],
) -> None:
    clients = AwsClients(region="us-east-1", endpoint_url=aws_environment["AWS_ENDPOINT_URL"])
    store = await S3ObjectStore.open(clients, bucket="nobody-made-this")
    with pytest.raises(Misconfigured, match="BILLFLEET_FILES_BUCKET"):
        await store.put(KEY, b"x", content_type=TEXT)
    with pytest.raises(Misconfigured, match="BILLFLEET_FILES_BUCKET"):
        await store.begin_upload(KEY, content_type=TEXT)
    await store.close()


class _FirstPartLost(FaultyEndpoint):
    """Takes the first part, and says that it broke."""

    def __init__(self, upstream: str) -> None:
        super().__init__(upstream, FaultPlan(seed=0))
        self.parts: list[tuple[bytes, str]] = []
        self.begun: list[str] = []
        self.completions: list[bytes] = []

    async def _forward(self, request: web.Request, body: bytes) -> web.Response:
        if "partNumber" in request.query:
            self.parts.append((body, request.headers.get("x-amz-checksum-crc32", "")))
            if len(self.parts) == 1:
                return web.Response(status=500)
        elif "uploads" in request.query:
            self.begun.append(request.headers.get("x-amz-checksum-algorithm", ""))
        elif request.method == "POST" and "uploadId" in request.query:
            self.completions.append(body)
        return await super()._forward(request, body)


async def test_part_goes_again_whole_after_a_failure_and_s3_gets_checksums_to_compare(
    aws: Clients, stack_name: str, aws_environment: dict[str, str]
) -> None:
    """S3 refuses to complete what was begun with checksums and does not repeat them all."""
    aws.s3.create_bucket(Bucket=f"{stack_name}-files")
    body = bytes(range(256)) * 2_800 + b"end"
    async with _FirstPartLost(aws_environment["AWS_ENDPOINT_URL"]) as endpoint:
        clients = AwsClients(region="us-east-1", endpoint_url=endpoint.url)
        store = await S3ObjectStore.open(clients, bucket=f"{stack_name}-files")
        upload = await store.begin_upload(KEY, content_type=TEXT)
        await upload.put_part(1, bytearray(body))
        await upload.complete()
        assert await store.get(KEY) == body
        await store.close()
    checksum = b64encode(crc32(body).to_bytes(4)).decode()
    assert endpoint.begun == ["CRC32"]
    assert endpoint.parts == [(body, checksum)] * 2
    assert f"<ChecksumCRC32>{checksum}</ChecksumCRC32>".encode() in endpoint.completions[0]


async def test_presigned_address_of_s3_opens_the_encrypted_object_and_nothing_else_does(
    aws: Clients, stack_name: str, aws_environment: dict[str, str]
) -> None:
    """R88."""
    bucket = f"{stack_name}-files"
    aws.s3.create_bucket(Bucket=bucket)
    clients = AwsClients(region="us-east-1", endpoint_url=aws_environment["AWS_ENDPOINT_URL"])
    store = await S3ObjectStore.open(clients, bucket=bucket)
    await store.put(KEY, b"a,b\n", content_type=TEXT)
    address = await store.presign(
        KEY, expires_s=600, file_name='März "2026".csv', content_type=TEXT
    )
    await store.close()
    opened = await asyncio.to_thread(urllib.request.urlopen, address)
    with opened as answer:
        assert answer.read() == b"a,b\n"
        assert answer.headers["Content-Disposition"] == (
            "attachment; filename=\"Marz _2026_.csv\"; filename*=UTF-8''M%C3%A4rz%20_2026_.csv"
        )
    assert "X-Amz-Expires=600" in address
    head = await asyncio.to_thread(aws.s3.head_object, Bucket=bucket, Key=KEY)
    assert head["ServerSideEncryption"] == "AES256"
