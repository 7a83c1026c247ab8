"""The health endpoint: `/livez` for who restarts, `/readyz` for who sends traffic.

The fleet opens it where BILLFLEET_HEALTH_PORT is set. Both answer 200 or 503 with what is wrong as
JSON. It asks two functions and knows nothing else.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import Self

from aiohttp import web

from billfleet_workers.runtime.errors import Misconfigured

Problems = Callable[[], Sequence[str]]


class HealthEndpoint:
    """Serves on one address until closed."""

    def __init__(self, runner: web.AppRunner) -> None:
        self._runner = runner

    @classmethod
    async def open(cls, host: str, port: int, *, liveness: Problems, readiness: Problems) -> Self:
        """Listen.

        Raises:
            Misconfigured: the address can't be used, for example because the port is taken.
        """
        app = web.Application()
        app.router.add_get("/livez", _answer(liveness))
        app.router.add_get("/readyz", _answer(readiness))
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        try:
            await web.TCPSite(runner, host, port).start()
        except OSError as error:
            await runner.cleanup()
            raise Misconfigured(
                f"the health endpoint {host}:{port}",
                f"{error}; choose another BILLFLEET_HEALTH_PORT",
            ) from error
        return cls(runner)

    async def close(self) -> None:
        """Stop listening."""
        await self._runner.cleanup()


def _answer(problems: Problems) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def answer(_request: web.Request) -> web.StreamResponse:
        found = list(problems())
        return web.json_response(
            {"status": "failing" if found else "ok", "problems": found},
            status=503 if found else 200,
        )

    return answer
