"""The object store port on S3: one bucket, server-side encryption on every write.

`main` opens it for the handlers that write files. A refusal that concerns one object leaves as the
port's word; what concerns the bucket or the credentials is `Misconfigured`. It must not know what a
file says.
"""

from base64 import b64encode
from collections.abc import AsyncIterator, Mapping
from typing import TYPE_CHECKING, Any, Final, NoReturn, Self
from zlib import crc32

from billfleet_contracts import attachment
from billfleet_workers.adapters.aws_client import AwsClients
from billfleet_workers.adapters.aws_errors import CALL_TIMEOUT_S, Refused, aws_call
from billfleet_workers.runtime.errors import Misconfigured, Unavailable
from billfleet_workers.runtime.ports.objects import (
    PRESIGN_S_MAX,
    ObjectEntry,
    ObjectExists,
    ObjectHead,
    ObjectMissing,
    UploadGone,
)

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client

ENCRYPTION: Final = "AES256"
BODY_TIMEOUT_S: Final = 120.0
"""For calls that carry a body, such as a part of some megabytes over a slow line."""
_MISSING = {"NoSuchKey", "404"}
_EXISTS = {"PreconditionFailed", "412"}
_GONE = {"NoSuchUpload"}
_COLLISION = {"ConditionalRequestConflict", "409"}
_NO_BUCKET = {"NoSuchBucket", "PermanentRedirect", "301"}


class _Bucket:
    """Calls that name the bucket, and what its refusals mean."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.dependency = f"S3 bucket {name}"

    async def call(
        self, operation: Any, key: str, timeout_s: float = CALL_TIMEOUT_S, **parameters: Any
    ) -> Any:
        """Ask something about one key."""
        return await self.ask(operation, key, timeout_s, Key=key, **parameters)

    async def ask(
        self, operation: Any, key: str, timeout_s: float = CALL_TIMEOUT_S, **parameters: Any
    ) -> Any:
        """Ask something of the bucket; the key is what an error will name."""
        try:
            async with aws_call(self.dependency, timeout_s):
                return await operation(Bucket=self.name, **parameters)
        except Refused as refusal:
            self._say(refusal, key)

    def _say(self, refusal: Refused, key: str) -> NoReturn:
        """Raise the port's word for what S3 refused."""
        if refusal.code in _MISSING:
            raise ObjectMissing(key) from refusal
        if refusal.code in _EXISTS:
            raise ObjectExists(key) from refusal
        if refusal.code in _GONE:
            raise UploadGone(key) from refusal
        if refusal.code in _NO_BUCKET:
            raise Misconfigured(
                self.dependency, "it is not here; create the stack or set BILLFLEET_FILES_BUCKET"
            ) from refusal
        if refusal.code in _COLLISION:
            raise Unavailable(self.dependency, str(refusal)) from refusal
        raise Misconfigured(self.dependency, f"{key}: {refusal}") from refusal


class S3ObjectStore:
    """Objects of one bucket. It owns its connections."""

    def __init__(self, client: "S3Client", bucket: str) -> None:
        self._client = client
        self._bucket = _Bucket(bucket)

    @classmethod
    async def open(cls, clients: AwsClients, *, bucket: str, pool_size: int = 16) -> Self:
        """Make the client. Nothing is asked of AWS before the first call."""
        return cls(await clients.open_s3(pool_size=pool_size), bucket)

    async def put(
        self,
        key: str,
        body: bytes,
        *,
        content_type: str,
        metadata: Mapping[str, str] | None = None,
        if_absent: bool = False,
    ) -> None:
        """Write an object in one go."""
        await self._bucket.call(
            self._client.put_object,
            key,
            BODY_TIMEOUT_S,
            Body=body,
            ContentType=content_type,
            Metadata=dict(metadata or {}),
            ServerSideEncryption=ENCRYPTION,
            **_condition(if_absent),
        )

    async def get(self, key: str) -> bytes:
        """Read a whole object."""
        return b"".join([chunk async for chunk in self.stream(key)])

    async def head(self, key: str) -> ObjectHead:
        """Ask what is known about an object."""
        answer = await self._bucket.call(self._client.head_object, key)
        return ObjectHead(
            bytes_count=int(answer["ContentLength"]),
            content_type=str(answer.get("ContentType", "")),
            etag=str(answer.get("ETag", "")).strip('"'),
            metadata=dict(answer.get("Metadata", {})),
        )

    async def stream(self, key: str, chunk_bytes: int = 1024 * 1024) -> AsyncIterator[bytes]:
        """Read an object piece by piece."""
        answer = await self._bucket.call(self._client.get_object, key)
        async with answer["Body"] as body:
            while True:
                async with aws_call(self._bucket.dependency, BODY_TIMEOUT_S):
                    chunk: bytes = await body.read(chunk_bytes)
                if not chunk:
                    return
                yield chunk

    async def delete(self, key: str) -> None:
        """Remove an object."""
        await self._bucket.call(self._client.delete_object, key)

    async def list(self, prefix: str) -> AsyncIterator[ObjectEntry]:
        """Go through the pages of a listing."""
        more: dict[str, Any] = {}
        while True:
            answer = await self._bucket.ask(
                self._client.list_objects_v2, prefix, Prefix=prefix, **more
            )
            for found in answer.get("Contents", ()):
                yield ObjectEntry(found["Key"], int(found["Size"]), found["LastModified"])
            if not answer.get("IsTruncated"):
                return
            more = {"ContinuationToken": answer["NextContinuationToken"]}

    async def presign(
        self, key: str, *, expires_s: int, file_name: str | None, content_type: str
    ) -> str:
        """Sign an address; it lives as long as asked, and no longer than S3 allows."""
        parameters = {"Bucket": self._bucket.name, "Key": key, "ResponseContentType": content_type}
        if file_name is not None:
            parameters["ResponseContentDisposition"] = attachment(file_name)
        async with aws_call(self._bucket.dependency):
            return await self._client.generate_presigned_url(
                "get_object", Params=parameters, ExpiresIn=min(expires_s, PRESIGN_S_MAX)
            )

    async def begin_upload(
        self, key: str, *, content_type: str, metadata: Mapping[str, str] | None = None
    ) -> "S3Upload":
        """Start a multipart upload."""
        answer = await self._bucket.call(
            self._client.create_multipart_upload,
            key,
            ContentType=content_type,
            Metadata=dict(metadata or {}),
            ServerSideEncryption=ENCRYPTION,
            ChecksumAlgorithm="CRC32",
        )
        return S3Upload(self._bucket, self._client, key, str(answer["UploadId"]))

    async def abort_uploads(self, prefix: str) -> int:
        """Abort the unfinished uploads under a prefix, page by page."""
        ended = 0
        more: dict[str, Any] = {}
        while True:
            answer = await self._bucket.ask(
                self._client.list_multipart_uploads, prefix, Prefix=prefix, **more
            )
            for found in answer.get("Uploads", ()):
                await S3Upload(self._bucket, self._client, found["Key"], found["UploadId"]).abort()
                ended += 1
            if not answer.get("IsTruncated"):
                return ended
            more = {
                "KeyMarker": answer["NextKeyMarker"],
                "UploadIdMarker": answer["NextUploadIdMarker"],
            }

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()


class S3Upload:
    """One multipart upload."""

    def __init__(self, bucket: _Bucket, client: "S3Client", key: str, upload_id: str) -> None:
        self.key = key
        self._bucket = bucket
        self._client = client
        self._upload_id = upload_id
        self._sent: dict[int, dict[str, str]] = {}

    async def put_part(self, number: int, body: bytes | bytearray) -> None:
        """Send a part, with a checksum that S3 compares: now, and in the list of all at the end."""
        checksum = b64encode(crc32(body).to_bytes(4)).decode()
        answer = await self._bucket.call(
            self._client.upload_part,
            self.key,
            BODY_TIMEOUT_S,
            UploadId=self._upload_id,
            PartNumber=number,
            # The SDK makes a file of `bytes`, and copies it several times over.
            Body=body if isinstance(body, bytearray) else bytearray(body),
            ChecksumCRC32=checksum,
        )
        self._sent[number] = {"ETag": str(answer["ETag"]), "ChecksumCRC32": checksum}

    async def complete(self, *, if_absent: bool = False) -> None:
        """Publish the object."""
        parts = [{"PartNumber": number, **sent} for number, sent in sorted(self._sent.items())]
        await self._bucket.call(
            self._client.complete_multipart_upload,
            self.key,
            BODY_TIMEOUT_S,
            UploadId=self._upload_id,
            MultipartUpload={"Parts": parts},
            **_condition(if_absent),
        )

    async def abort(self) -> None:
        """Drop the parts."""
        try:
            await self._bucket.call(
                self._client.abort_multipart_upload, self.key, UploadId=self._upload_id
            )
        except UploadGone:
            return


def _condition(if_absent: bool) -> dict[str, str]:
    return {"IfNoneMatch": "*"} if if_absent else {}
