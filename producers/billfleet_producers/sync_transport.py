"""The blocking way to AWS: runs the call scripts over boto3 clients.

Made by `SyncProducer` when it opens. It decides nothing: what to ask is in `calls`, what errors
mean in `aws_errors`.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from threading import Lock
from typing import Any, Protocol, TypeVar, cast

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from billfleet_contracts import Route
from billfleet_producers import calls
from billfleet_producers.aws_errors import map_call_error, map_setup_error
from billfleet_producers.calls import AwsCall, Service
from billfleet_producers.claim_check import LargeBody
from billfleet_producers.connection import Connection
from billfleet_producers.packing import Batch
from billfleet_producers.sending import Answer

Result = TypeVar("Result")


class SyncClients(Protocol):
    """Where the transport gets its clients; tests script one."""

    def client(self, service: Service) -> Any:
        """The client of a service, made once."""

    def close(self) -> None:
        """Close every client made."""


class Boto3Clients:
    """Clients of the ordinary AWS configuration, each made when it is first needed."""

    def __init__(self, connection: Connection) -> None:
        self._arguments = connection.client_arguments()
        self._config = Config(**connection.config_arguments())
        self._session = boto3.session.Session()
        self._clients: dict[str, Any] = {}

    def client(self, service: Service) -> Any:
        """The client of a service; the transport never asks from two threads at once."""
        if service not in self._clients:
            create = cast("Any", self._session.client)
            self._clients[service] = create(service, config=self._config, **self._arguments)
        return self._clients[service]

    def close(self) -> None:
        """Close every client made."""
        for client in self._clients.values():
            client.close()


class SyncAwsTransport:
    """Sends batches; finds each queue and topic once. Threads may share it."""

    def __init__(self, connection: Connection, clients: SyncClients | None = None) -> None:
        self._connection = connection
        self._clients: SyncClients = clients or Boto3Clients(connection)
        self._addresses: dict[Route, str] = {
            Route("topic", name): arn for name, arn in connection.topic_arns.items()
        }
        self._finding = Lock()
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
        with self._finding:
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
        except (BotoCoreError, ClientError, OSError) as error:
            raise map_call_error(error, destination) from error
