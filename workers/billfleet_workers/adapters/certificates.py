"""The certificates port: over HTTPS, and from one file for a stack on one's own machine.

The feedback worker uses it through `runtime.ports.certificates`. Certificates of SNS change once a
year, so what was fetched is kept. It follows no redirect and reads no large answer.
"""

from collections import OrderedDict
from pathlib import Path
from typing import Final

import aiohttp

from billfleet_workers.runtime.clock import Clock
from billfleet_workers.runtime.errors import Misconfigured, Unavailable

DEPENDENCY: Final = "the certificates of Amazon SNS"
BYTES_MAX: Final = 64 * 1024
KEPT_S: Final = 24 * 3600.0
KEPT_MAX: Final = 16
TIMEOUT_S: Final = 10.0


class HttpCertificates:
    """Fetches certificates. It owns its connections."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._http: aiohttp.ClientSession | None = None
        self._kept: OrderedDict[str, tuple[float, bytes]] = OrderedDict()

    async def get(self, url: str) -> bytes:
        """The certificate, from memory or from its address."""
        now_s = self._clock.monotonic()
        kept = self._kept.get(url)
        if kept is not None and now_s - kept[0] < KEPT_S:
            return kept[1]
        body = await self._fetch(url)
        self._kept[url] = (now_s, body)
        while len(self._kept) > KEPT_MAX:
            self._kept.popitem(last=False)
        return body

    async def _fetch(self, url: str) -> bytes:
        if self._http is None:
            self._http = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=TIMEOUT_S), trust_env=True
            )
        try:
            async with self._http.get(url, allow_redirects=False) as answer:
                body = b""
                # A read gives what has arrived by then.
                while piece := await answer.content.read(BYTES_MAX + 1 - len(body)):
                    body += piece
        except (aiohttp.ClientError, OSError) as error:
            raise Unavailable(DEPENDENCY, str(error) or type(error).__name__) from error
        if answer.status != 200 or len(body) > BYTES_MAX:
            raise Unavailable(DEPENDENCY, f"{url} answered {answer.status}, {len(body)} bytes")
        return body

    async def close(self) -> None:
        """Close the connections."""
        if self._http is not None:
            await self._http.close()
            self._http = None


class FileCertificates:
    """One certificate from a file, whatever the address: for notifications that we play in."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def get(self, url: str) -> bytes:  # noqa: ARG002 - the port names it
        """The certificate of the file."""
        try:
            return self._path.read_bytes()
        except OSError as error:
            raise Misconfigured(DEPENDENCY, f"{self._path}: {error.strerror}") from error

    async def close(self) -> None:
        """Nothing to let go of."""
