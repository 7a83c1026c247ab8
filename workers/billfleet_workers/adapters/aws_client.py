"""The one place that makes AWS clients.

The adapters of SQS, SNS, DynamoDB and S3 open their clients here. The settings are those that cost
the least per call: parameters are not validated a second time, and the user agent is a fixed
string instead of being formatted for each request. It must not know what any call is for.
"""

import platform
from collections.abc import AsyncIterator
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Literal, cast

from billfleet_workers.adapters.aws_errors import aws_call

if TYPE_CHECKING:
    from aiobotocore.session import AioSession
    from types_aiobotocore_dynamodb import DynamoDBClient
    from types_aiobotocore_s3 import S3Client
    from types_aiobotocore_sesv2 import SESV2Client
    from types_aiobotocore_sns import SNSClient
    from types_aiobotocore_sqs import SQSClient
    from types_aiobotocore_sts import STSClient

USER_AGENT = (
    f"billfleet aiobotocore/{version('aiobotocore')} Python/{platform.python_version()}"
    f" {platform.system()}"
)
CONNECT_TIMEOUT_S = 3
LONG_POLL_S_MAX = 20
READ_TIMEOUT_S = LONG_POLL_S_MAX + 10
"""An idle long poll answers after 20 s at most; a silent socket is given up 10 s later."""
LARGE_BODY_BYTES = 512 * 1024
PIECE_BYTES = 256 * 1024


class AwsClients:
    """Opens tuned clients for one region and endpoint, with the process's usual credentials.

    The opener closes its client (`await client.close()`). The service descriptions, which are
    slow to load, are shared by all clients of one `AwsClients`.
    """

    def __init__(
        self, *, region: str, endpoint_url: str | None = None, attempts_max: int = 3
    ) -> None:
        self.region = region
        self._endpoint_url = endpoint_url
        self._attempts_max = attempts_max
        self._opened_session: AioSession | None = None

    @property
    def _session(self) -> "AioSession":
        """Made when the first client is opened, so that loading this module costs little."""
        from aiobotocore.session import get_session

        self._opened_session = self._opened_session or get_session()
        return self._opened_session

    async def open_sqs(self, *, pool_size: int = 32) -> "SQSClient":
        """A client of SQS."""
        return cast("SQSClient", await self._open("sqs", pool_size))

    async def open_sns(self, *, pool_size: int = 8) -> "SNSClient":
        """A client of SNS."""
        return cast("SNSClient", await self._open("sns", pool_size))

    async def open_dynamodb(self, *, pool_size: int = 32) -> "DynamoDBClient":
        """A client of DynamoDB."""
        return cast("DynamoDBClient", await self._open("dynamodb", pool_size))

    async def open_s3(self, *, pool_size: int = 16) -> "S3Client":
        """A client of S3, whose bucket names stay in the path where an endpoint is given."""
        return cast("S3Client", await self._open("s3", pool_size))

    async def open_sesv2(self, *, pool_size: int = 16) -> "SESV2Client":
        """A client of SES that repeats no call: a mail whose answer was lost may have gone."""
        return cast("SESV2Client", await self._open("sesv2", pool_size, attempts_max=1))

    async def open_sts(self) -> "STSClient":
        """A client of STS."""
        return cast("STSClient", await self._open("sts", 1))

    async def _open(
        self,
        service: Literal["sqs", "sns", "dynamodb", "s3", "sesv2", "sts"],
        pool_size: int,
        attempts_max: int | None = None,
    ) -> object:
        from aiobotocore.config import AioConfig

        # The retries are for a connection that the far end closed while idle. What lasts longer
        # is for the fleet's own pausing, not for a library that waits out of sight.
        config = AioConfig(
            parameter_validation=False,
            user_agent=USER_AGENT,
            retries={"mode": "standard", "total_max_attempts": attempts_max or self._attempts_max},
            max_pool_connections=pool_size,
            connect_timeout=CONNECT_TIMEOUT_S,
            read_timeout=READ_TIMEOUT_S,
            signature_version="s3v4" if service == "s3" else None,
            s3={"addressing_style": "path" if self._endpoint_url else "auto"},
        )
        async with aws_call(service.upper()):
            opening: Any = self._session.create_client(
                service,
                region_name=self.region,
                endpoint_url=self._endpoint_url,
                config=config,
            )
            client = await opening.__aenter__()
        client.meta.events.register("before-send", _stream_large_body)
        return client


def _stream_large_body(request: Any, **_: object) -> None:
    """aiohttp sends bytes in one go and warns above 1 MiB; in pieces it waits for the line."""
    if isinstance(request.body, bytes | bytearray) and len(request.body) > LARGE_BODY_BYTES:
        request.body = _Pieces(request.body)


class _Pieces:
    """A body that aiohttp reads without copying it, from its beginning each time."""

    def __init__(self, body: bytes | bytearray) -> None:
        self._body = memoryview(body)

    def seek(self, _: int) -> None:
        """Botocore rewinds a body before it repeats a call; here is nothing to rewind."""

    async def __aiter__(self) -> AsyncIterator[memoryview]:
        for start in range(0, len(self._body), PIECE_BYTES):
            yield self._body[start : start + PIECE_BYTES]
