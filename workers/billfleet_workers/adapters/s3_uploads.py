"""Addresses of the uploads bucket that take one PUT, for people who have no credentials of ours.

`main.front_door` opens it for the gateway. What is uploaded is nobody's word: the type and the
metadata are signed, the bytes are for the worker to check.
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Self

from billfleet_workers.adapters.aws_client import AwsClients
from billfleet_workers.adapters.aws_errors import aws_call

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client


class UploadAddresses:
    """Signs addresses of one bucket. It owns its connections."""

    def __init__(self, client: "S3Client", *, bucket: str) -> None:
        self._client = client
        self._bucket = bucket

    @classmethod
    async def open(cls, clients: AwsClients, *, bucket: str) -> Self:
        """Make the client; nothing is asked of S3."""
        return cls(await clients.open_s3(pool_size=2), bucket=bucket)

    async def presign(
        self, key: str, *, expires_s: int, content_type: str, metadata: Mapping[str, str]
    ) -> str:
        """An address that takes this key's content once it comes with this type and metadata."""
        async with aws_call(f"S3 bucket {self._bucket}"):
            return await self._client.generate_presigned_url(
                "put_object",
                Params={
                    "Bucket": self._bucket,
                    "Key": key,
                    "ContentType": content_type,
                    "Metadata": dict(metadata),
                },
                ExpiresIn=expires_s,
            )

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()
