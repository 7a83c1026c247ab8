"""Turns at the mail service: its rate is the whole fleet's, and each tenant gets its share.

The handler takes a turn before each sending. Waiting mails stand in one line per tenant, and the
lines are served in rotation, so that one tenant's ten thousand do not stand before another's one.
Being sent away by the service pauses everybody for a while: waiting is no failure.
"""

import asyncio
from collections import OrderedDict, deque

from billfleet_workers.runtime.clock import Clock
from billfleet_workers.runtime.ports.quota import Quota

Line = deque["asyncio.Future[None]"]


class Turns:
    """Permits of a quota, handed out fairly among the tenants of this process."""

    def __init__(self, quota: Quota | None, name: str, clock: Clock) -> None:
        self._quota = quota
        self._name = name
        self._clock = clock
        self._lines: OrderedDict[str, Line] = OrderedDict()
        self._paused_until_s = 0.0
        self._serving: asyncio.Task[None] | None = None

    async def take(self, tenant: str, patience_s: float) -> bool:
        """Wait for a turn. False: none came in time, and none was used."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._lines.setdefault(tenant, deque()).append(turn)
        self._serve()
        giving_up = asyncio.ensure_future(self._clock.sleep(patience_s))
        try:
            await asyncio.wait({turn, giving_up}, return_when=asyncio.FIRST_COMPLETED)
            return turn.done() and turn.exception() is None
        finally:
            giving_up.cancel()
            if not turn.done():
                turn.cancel()

    def pause(self, seconds: float) -> None:
        """Nobody gets a turn for so long: the service has sent us away."""
        until_s = self._clock.monotonic() + seconds
        self._paused_until_s = max(self._paused_until_s, until_s)

    def _serve(self) -> None:
        if self._serving is None or self._serving.done():
            self._serving = asyncio.create_task(self._run())

    async def _run(self) -> None:
        while (turn := self._next()) is not None:
            try:
                await self._permit()
            except Exception as error:  # noqa: BLE001 - handed to whoever waits, who knows what to do
                if not turn.done():
                    turn.set_exception(error)
                continue
            if turn.done():
                # Its owner gave up while we asked: the permit goes to the next in line.
                turn = self._next()
            if turn is not None and not turn.done():
                turn.set_result(None)

    async def _permit(self) -> None:
        while (wait_s := self._paused_until_s - self._clock.monotonic()) > 0:
            await self._clock.sleep(wait_s)
        while self._quota is not None:
            wait_s = await self._quota.take(self._name)
            if wait_s <= 0:
                return
            await self._clock.sleep(wait_s)

    def _next(self) -> "asyncio.Future[None] | None":
        """The first of the line whose tenant has waited longest for being served."""
        while self._lines:
            tenant, line = self._lines.popitem(last=False)
            while line:
                turn = line.popleft()
                if turn.done():
                    continue
                if line:
                    self._lines[tenant] = line
                return turn
        return None
