"""The webhook port over HTTP, with every door to our own network shut.

`main` opens it for the webhooks worker. A name is resolved once, every address of it is checked,
and the connection goes to exactly those: a name that leads elsewhere a moment later changes
nothing. No redirect is followed, no proxy of the environment is used, and an answer is read to its
first few hundred bytes.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Mapping, Sequence
from ipaddress import ip_address
from typing import Any, Final, Self

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult

from billfleet_workers.adapters.webhook_targets import check_address, check_url
from billfleet_workers.runtime.ports.webhooks import (
    ANSWER_CHARS_MAX,
    TargetRefused,
    TargetUnreachable,
    WebhookAnswer,
)

TIMEOUT_S: Final = 15.0
CONNECT_TIMEOUT_S: Final = 5.0
CONNECTIONS_MAX: Final = 100
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


class HttpWebhookSender:
    """Posts to addresses of tenants. It owns its connections."""

    def __init__(self, session: aiohttp.ClientSession, *, to_loopback: bool) -> None:
        self._session = session
        self._to_loopback = to_loopback

    @classmethod
    async def open(cls, *, to_loopback: bool, resolve: Resolve | None = None) -> Self:
        """Make the session; `resolve` gives the addresses of a name, and is DNS by default."""
        connector = aiohttp.TCPConnector(
            resolver=_CheckedResolver(resolve or _look_up, to_loopback=to_loopback),
            use_dns_cache=False,
            limit=CONNECTIONS_MAX,
            # A connection that lives on would be used without asking where it leads.
            force_close=True,
        )
        session = aiohttp.ClientSession(
            connector=connector,
            timeout=aiohttp.ClientTimeout(total=TIMEOUT_S, sock_connect=CONNECT_TIMEOUT_S),
            cookie_jar=aiohttp.DummyCookieJar(),
            trust_env=False,
            auto_decompress=False,
        )
        return cls(session, to_loopback=to_loopback)

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> WebhookAnswer:
        """Send one POST."""
        check_url(url, to_loopback=self._to_loopback)
        try:
            async with self._session.post(
                url, data=body, headers=dict(headers), allow_redirects=False
            ) as answer:
                beginning = await answer.content.read(ANSWER_CHARS_MAX)
        except TargetRefused:
            raise
        except TimeoutError as error:
            raise TargetUnreachable("no answer in time") from error
        except (aiohttp.ClientError, OSError, ValueError) as error:
            refused = _refusal_inside(error)
            if refused is not None:
                raise refused from error
            raise TargetUnreachable(_said(error)) from error
        text = beginning.decode("utf-8", "replace").replace("\x00", "")
        return WebhookAnswer(answer.status, text[:ANSWER_CHARS_MAX])

    async def close(self) -> None:
        """Close the connections."""
        await self._session.close()


class _CheckedResolver(AbstractResolver):
    """Gives aiohttp addresses that were checked; one bad address spoils the name."""

    def __init__(self, resolve: Resolve, *, to_loopback: bool) -> None:
        self._resolve = resolve
        self._to_loopback = to_loopback

    async def resolve(
        self,
        host: str,
        port: int = 0,
        family: socket.AddressFamily = socket.AF_UNSPEC,  # noqa: ARG002 - aiohttp's; both are tried
    ) -> list[ResolveResult]:
        """The addresses of a name."""
        found = await self._resolve(host, port)
        if not found:
            raise OSError(f"{host} has no address")
        results: list[ResolveResult] = []
        for text in dict.fromkeys(found):
            address = ip_address(text.partition("%")[0])
            check_address(address, to_loopback=self._to_loopback)
            results.append(
                ResolveResult(
                    hostname=host,
                    host=str(address),
                    port=port,
                    family=socket.AF_INET if address.version == 4 else socket.AF_INET6,
                    proto=0,
                    flags=socket.AI_NUMERICHOST,
                )
            )
        return results

    async def close(self) -> None:
        """Nothing is kept."""


async def _look_up(host: str, port: int) -> Sequence[str]:
    found: list[Any] = await asyncio.get_running_loop().getaddrinfo(
        host, port, type=socket.SOCK_STREAM
    )
    return [str(address[4][0]) for address in found]


def _refusal_inside(error: BaseException | None) -> TargetRefused | None:
    while error is not None:
        if isinstance(error, TargetRefused):
            return error
        error = error.__cause__ or error.__context__
    return None


def _said(error: Exception) -> str:
    text = (str(error) or type(error).__name__).splitlines()[0]
    return f"no answer: {text}"[:300]
