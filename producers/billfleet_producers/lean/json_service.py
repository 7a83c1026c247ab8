"""One service over one wire: each call signed, sent, and tried again where that may help.

`JsonService` is for event loops, `BlockingJsonService` for blocking code. A call costs about a
tenth of the same call through the SDK. What is asked and what answers mean is `json_protocol`'s.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol

from botocore.exceptions import ClientError, NoCredentialsError

from billfleet_producers.lean.http1 import Reply
from billfleet_producers.lean.json_protocol import Attempts, JsonProtocol, not_renewed, to_json
from billfleet_producers.lean.sigv4 import Keys


class Connections(Protocol):
    """What carries requests; a `Wire`, or a test's script."""

    async def post(self, headers: Mapping[str, str], body: bytes) -> Reply:
        """Send one request and read its answer."""
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...


class Time(Protocol):
    """A clock that can wait."""

    def now(self) -> datetime:
        """The present, aware, in UTC."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


class Credentials(Protocol):
    """Who we are; renewed before they expire."""

    async def get_frozen_credentials(self) -> Keys:
        """Those of now."""
        ...


class JsonService:
    """Calls one service. The wire is its own, and is closed with it."""

    def __init__(
        self,
        protocol: JsonProtocol,
        *,
        credentials: Credentials | None,
        wire: Connections,
        clock: Time,
    ) -> None:
        self._protocol = protocol
        self._credentials = credentials
        self._wire = wire
        self._clock = clock

    async def call(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Make the call; the answer's top-level members that are null are left out."""
        body = to_json(parameters)
        attempts = Attempts(self._protocol)
        while True:
            try:
                headers = self._protocol.headers(operation, body, await self._keys())
                return self._protocol.read(operation, await self._wire.post(headers, body))
            except (OSError, ClientError) as error:
                wait_s = attempts.wait_s_after(error)
                if wait_s is None:
                    raise
                if wait_s:
                    await self._clock.sleep(wait_s)

    async def close(self) -> None:
        """Close the connections. Safe to call twice."""
        await self._wire.close()

    async def _keys(self) -> Keys:
        if self._credentials is None:
            raise NoCredentialsError
        try:
            return await self._credentials.get_frozen_credentials()
        except RuntimeError as error:
            raise not_renewed(error) from error


class BlockingConnections(Protocol):
    """What carries requests; a `BlockingWire`, or a test's script."""

    def post(self, headers: Mapping[str, str], body: bytes) -> Reply:
        """Send one request and read its answer."""
        ...

    def close(self) -> None:
        """Close the connections."""
        ...


class BlockingTime(Protocol):
    """A clock that can wait, and holds up its thread."""

    def now(self) -> datetime:
        """The present, aware, in UTC."""
        ...

    def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


class BlockingCredentials(Protocol):
    """botocore's credentials: it renews them by itself before they expire."""

    def get_frozen_credentials(self) -> Keys:
        """Those of now."""
        ...


class BlockingJsonService:
    """Calls one service; threads may share it. The wire is its own, and is closed with it."""

    def __init__(
        self,
        protocol: JsonProtocol,
        *,
        credentials: BlockingCredentials | None,
        wire: BlockingConnections,
        clock: BlockingTime,
    ) -> None:
        self._protocol = protocol
        self._credentials = credentials
        self._wire = wire
        self._clock = clock

    def call(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Make the call; the answer's top-level members that are null are left out."""
        body = to_json(parameters)
        attempts = Attempts(self._protocol)
        while True:
            try:
                headers = self._protocol.headers(operation, body, self._keys())
                return self._protocol.read(operation, self._wire.post(headers, body))
            except (OSError, ClientError) as error:
                wait_s = attempts.wait_s_after(error)
                if wait_s is None:
                    raise
                if wait_s:
                    self._clock.sleep(wait_s)

    def close(self) -> None:
        """Close the connections. Safe to call twice."""
        self._wire.close()

    def _keys(self) -> Keys:
        if self._credentials is None:
            raise NoCredentialsError
        try:
            return self._credentials.get_frozen_credentials()
        except RuntimeError as error:
            raise not_renewed(error) from error
