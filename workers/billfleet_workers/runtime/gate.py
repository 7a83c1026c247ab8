"""The gate in front of receiving: shut while something that every message needs is away.

Delivery shuts it with the name of the dependency; receivers wait at it. It opens when the
dependency's probe answers again, so that an outage costs no receive counts.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import structlog

from billfleet_workers.runtime.clock import Clock

PROBE_FIRST_S = 0.25
PROBE_CAP_S = 10.0

Probe = Callable[[], Awaitable[None]]


class Gate:
    """Open or shut; a shut gate probes its dependency until it answers."""

    def __init__(self, probes: Mapping[str, Probe], clock: Clock) -> None:
        self._probes = probes
        self._clock = clock
        self._away: dict[str, str] = {}
        self._open = asyncio.Event()
        self._open.set()
        self._shut = asyncio.Event()
        self._log = structlog.get_logger("billfleet.gate")

    @property
    def away(self) -> Mapping[str, str]:
        """The dependencies that are away, each with the reason."""
        return dict(self._away)

    @property
    def is_open(self) -> bool:
        """Whether receiving may go on."""
        return not self._away

    def shut(self, dependency: str, reason: str) -> None:
        """Stop receiving until the dependency answers."""
        if dependency in self._away:
            return
        self._away[dependency] = reason
        self._open.clear()
        self._shut.set()
        self._log.warning("receiving_paused", dependency=dependency, reason=reason)

    async def wait_open(self) -> None:
        """Return when nothing is away."""
        await self._open.wait()

    async def watch(self) -> None:
        """Run for ever: probe what is away, open when all of it is back."""
        while True:
            await self._shut.wait()
            for dependency in list(self._away):
                await self._wait_for(dependency)
                self._away.pop(dependency, None)
                self._log.info("dependency_back", dependency=dependency)
            if not self._away:
                self._shut.clear()
                self._open.set()
                self._log.info("receiving_resumed")

    async def _wait_for(self, dependency: str) -> None:
        wait_s = PROBE_FIRST_S
        while True:
            await self._clock.sleep(wait_s)
            try:
                probe = self._probes.get(dependency)
                if probe is not None:
                    await probe()
            except Exception as error:  # noqa: BLE001 - whatever a probe raises means: still away
                self._log.debug("still_away", dependency=dependency, error=str(error))
                wait_s = min(wait_s * 2, PROBE_CAP_S)
            else:
                return
