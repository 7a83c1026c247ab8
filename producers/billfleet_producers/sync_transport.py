"""The blocking way to AWS: runs the call scripts over a lean client of SQS, and botocore's.

Made by `SyncProducer` when it opens. botocore's clients are for topics, large bodies, and all that
is behind a proxy. It decides nothing: what to ask is in `calls`, what errors mean in `aws_errors`.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping
from datetime import datetime
from threading import Lock
from typing import Any, Protocol, TypeVar, cast

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoRegionError
from botocore.parsers import ResponseParserError
from botocore.session import get_session

from billfleet_contracts import Route
from billfleet_producers import calls
from billfleet_producers.aws_errors import map_call_error, map_setup_error
from billfleet_producers.calls import AwsCall, Service
from billfleet_producers.claim_check import LargeBody
from billfleet_producers.connection import Connection
from billfleet_producers.lean.blocking_opening import open_blocking_service
from billfleet_producers.lean.client import LeanClient
from billfleet_producers.lean_manner import lean_manner
from billfleet_producers.packing import Batch
from billfleet_producers.preparing import utc_now
from billfleet_producers.sending import Answer

Result = TypeVar("Result")


class SyncClients(Protocol):
    """Where the transport gets its clients; tests script one."""

    def client(self, service: Service) -> Any:
        """The client of a service, made once."""

    def close(self) -> None:
        """Close every client made."""


class LeanSyncClients:
    """SQS the lean way, unless a proxy stands before it; botocore's clients for all else."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._arguments = connection.client_arguments()
        self._session = get_session()
        self._clients: dict[str, Any] = {}

    def client(self, service: Service) -> Any:
        """The client of a service; the transport never asks from two threads at once."""
        if service not in self._clients:
            lean = self._open_lean() if service == "sqs" else None
            self._clients[service] = lean or self._open_botocore(service)
        return self._clients[service]

    def close(self) -> None:
        """Close every client made."""
        for client in self._clients.values():
            client.close()

    def _open_botocore(self, service: Service) -> Any:
        config = Config(**self._connection.config_arguments())
        return self._session.create_client(service, config=config, **self._arguments)

    def _open_lean(self) -> LeanClient | None:
        region = self._arguments["region_name"] or self._session.get_config_variable("region")
        if region is None:
            raise NoRegionError
        service = open_blocking_service(
            self._session,
            "sqs",
            region=region,
            endpoint_url=self._connection.endpoint_url,
            manner=lean_manner(self._connection),
            clock=_SystemTime(),
        )
        return LeanClient(service) if service else None


class _SystemTime:
    """The system's clock."""

    def now(self) -> datetime:
        """The present."""
        return utc_now()

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


class SyncAwsTransport:
    """Sends batches; finds each queue and topic once. Threads may share it."""

    def __init__(self, connection: Connection, clients: SyncClients | None = None) -> None:
        self._connection = connection
        self._clients: SyncClients = clients or LeanSyncClients(connection)
        self._addresses: dict[Route, str] = {
            Route("topic", name): arn for name, arn in connection.topic_arns.items()
        }
        self._making = Lock()

    def send(self, batch: Batch) -> list[Answer]:
        """One answer per message.

        Raises:
            ProducerError: the call as a whole failed.
        """
        name = batch.route.physical_name(self._connection.stack)
        return self._run(calls.send(batch, self._address(batch.route)), name)

    def store(self, large: LargeBody) -> None:
        """Leave a large body in S3.

        Raises:
            ProducerError: it is not there.
        """
        self._run(calls.store(large), f"s3://{large.pointer.bucket}")

    def close(self) -> None:
        """Close the connections."""
        self._clients.close()

    def _address(self, route: Route) -> str:
        # Not under a lock: threads that begin together may ask twice, but while AWS is away none
        # stands in line behind the others' timeouts.
        if route not in self._addresses:
            stack = self._connection.stack
            region = "" if route.kind == "queue" else self._client("sns").meta.region_name
            script = calls.find_address(route, stack, region)
            self._addresses[route] = self._run(script, route.physical_name(stack))
        return self._addresses[route]

    def _client(self, service: Service) -> Any:
        try:
            with self._making:
                return self._clients.client(service)
        except (BotoCoreError, ValueError) as error:
            raise map_setup_error(error) from error

    def _run(
        self, script: Generator[AwsCall, Mapping[str, Any], Result], destination: str
    ) -> Result:
        try:
            call = next(script)
            while True:
                call = script.send(self._ask(call, destination))
        except StopIteration as finished:
            return cast("Result", finished.value)

    def _ask(self, call: AwsCall, destination: str) -> Mapping[str, Any]:
        method = getattr(self._client(call.service), call.operation)
        try:
            return cast("Mapping[str, Any]", method(**call.parameters))
        except (BotoCoreError, ClientError, ResponseParserError, OSError) as error:
            raise map_call_error(error, destination) from error
