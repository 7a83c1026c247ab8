"""The async way to AWS: runs the call scripts over a lean client of SQS, and aiobotocore's.

Made by `Producer` when it opens. aiobotocore is imported when one of its clients is needed: for
topics, large bodies, and behind a proxy. It decides nothing: what to ask is in `calls`, what
errors mean in `aws_errors`.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import Generator, Mapping
from contextlib import AsyncExitStack
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

from botocore.exceptions import BotoCoreError, ClientError, NoRegionError
from botocore.parsers import ResponseParserError
from botocore.session import get_session

from billfleet_contracts import Route
from billfleet_producers import calls
from billfleet_producers.aws_errors import map_call_error, map_setup_error
from billfleet_producers.calls import AwsCall, Service
from billfleet_producers.claim_check import LargeBody
from billfleet_producers.connection import Connection
from billfleet_producers.lean.client import LeanClient
from billfleet_producers.lean.opening import open_service
from billfleet_producers.lean_manner import lean_manner
from billfleet_producers.packing import Batch
from billfleet_producers.preparing import utc_now
from billfleet_producers.sending import Answer

if TYPE_CHECKING:
    from aiobotocore.session import AioSession

Result = TypeVar("Result")

_WHOLE_BODY_BYTES_MAX = 2**20


class AsyncClients(Protocol):
    """Where the transport gets its clients; tests script one."""

    async def client(self, service: Service) -> Any:
        """The client of a service, made once."""

    async def close(self) -> None:
        """Close every client made."""


class LeanClients:
    """SQS the lean way, unless a proxy stands before it; aiobotocore's clients for all else."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._arguments = connection.client_arguments()
        self._config_arguments = connection.config_arguments()
        self._session = get_session()
        self._stack = AsyncExitStack()
        self._clients: dict[str, Any] = {}

    async def client(self, service: Service) -> Any:
        """The client of a service; the transport never asks twice at once."""
        if service not in self._clients:
            lean = await self._open_lean() if service == "sqs" else None
            self._clients[service] = lean or await self._open_aiobotocore(service)
        return self._clients[service]

    async def close(self) -> None:
        """Close every client made."""
        await self._stack.aclose()

    @cached_property
    def _aiobotocore(self) -> AioSession:
        from aiobotocore.session import AioSession

        return AioSession()

    async def _open_aiobotocore(self, service: Service) -> Any:
        from aiobotocore.config import AioConfig

        create = cast("Any", self._aiobotocore.create_client)
        making = create(service, config=AioConfig(**self._config_arguments), **self._arguments)
        client = await self._stack.enter_async_context(making)
        client.meta.events.register(f"before-send.{service}", _stream_large_body)
        return client

    async def _open_lean(self) -> LeanClient | None:
        region = self._arguments["region_name"] or self._session.get_config_variable("region")
        if region is None:
            raise NoRegionError
        service = await open_service(
            self._session,
            "sqs",
            region=region,
            endpoint_url=self._connection.endpoint_url,
            manner=lean_manner(self._connection),
            clock=_SystemTime(),
        )
        if service is None:
            return None
        self._stack.push_async_callback(service.close)
        return LeanClient(service)


class _SystemTime:
    """The system's clock."""

    def now(self) -> datetime:
        """The present."""
        return utc_now()

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        await asyncio.sleep(seconds)


def _stream_large_body(request: Any, **_: object) -> None:
    # aiohttp warns about larger bodies given as bytes, and a full batch in JSON is larger.
    if isinstance(request.body, bytes) and len(request.body) > _WHOLE_BODY_BYTES_MAX:
        request.body = io.BytesIO(request.body)


class AsyncAwsTransport:
    """Sends batches; finds each queue and topic once."""

    def __init__(self, connection: Connection, clients: AsyncClients | None = None) -> None:
        self._connection = connection
        self._clients: AsyncClients = clients or LeanClients(connection)
        self._addresses: dict[Route, str] = {
            Route("topic", name): arn for name, arn in connection.topic_arns.items()
        }
        self._finding = asyncio.Lock()
        self._making = asyncio.Lock()

    async def send(self, batch: Batch) -> list[Answer]:
        """One answer per message.

        Raises:
            ProducerError: the call as a whole failed.
        """
        name = batch.route.physical_name(self._connection.stack)
        return await self._run(calls.send(batch, await self._address(batch.route)), name)

    async def store(self, large: LargeBody) -> None:
        """Leave a large body in S3.

        Raises:
            ProducerError: it is not there.
        """
        await self._run(calls.store(large), f"s3://{large.pointer.bucket}")

    async def close(self) -> None:
        """Close the connections."""
        await self._clients.close()

    async def _address(self, route: Route) -> str:
        async with self._finding:
            if route not in self._addresses:
                stack = self._connection.stack
                region = (
                    "" if route.kind == "queue" else (await self._client("sns")).meta.region_name
                )
                script = calls.find_address(route, stack, region)
                self._addresses[route] = await self._run(script, route.physical_name(stack))
            return self._addresses[route]

    async def _client(self, service: Service) -> Any:
        try:
            async with self._making:
                return await self._clients.client(service)
        except (BotoCoreError, ValueError) as error:
            raise map_setup_error(error) from error

    async def _run(
        self, script: Generator[AwsCall, Mapping[str, Any], Result], destination: str
    ) -> Result:
        try:
            call = next(script)
            while True:
                call = script.send(await self._ask(call, destination))
        except StopIteration as finished:
            return cast("Result", finished.value)

    async def _ask(self, call: AwsCall, destination: str) -> Mapping[str, Any]:
        method = getattr(await self._client(call.service), call.operation)
        try:
            return cast("Mapping[str, Any]", await method(**call.parameters))
        except (BotoCoreError, ClientError, ResponseParserError, OSError) as error:
            raise map_call_error(error, destination) from error
