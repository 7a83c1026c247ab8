"""Side tasks that must not die in silence.

The fleet runs its receivers, heartbeat, gate and relay under `supervise`. A task that raises is
logged, counted and started again with backoff; a task that returns has finished and stays so.
"""

from collections.abc import Awaitable, Callable

import structlog

from billfleet_workers.runtime.clock import Clock
from billfleet_workers.runtime.ports.metrics import Metrics

RESTART_FIRST_S = 0.5
RESTART_CAP_S = 30.0
STABLE_AFTER_S = 60.0


async def supervise(
    name: str, run: Callable[[], Awaitable[None]], *, clock: Clock, metrics: Metrics
) -> None:
    """Run `run` until it returns; restart it when it raises."""
    log = structlog.get_logger("billfleet.supervision")
    wait_s = RESTART_FIRST_S
    while True:
        started_s = clock.monotonic()
        try:
            await run()
        except Exception as error:
            if clock.monotonic() - started_s > STABLE_AFTER_S:
                wait_s = RESTART_FIRST_S
            metrics.count("side_task_restarts", task=name)
            log.exception("side_task_died", task=name, error=str(error), restart_in_s=wait_s)
            await clock.sleep(wait_s)
            wait_s = min(wait_s * 2, RESTART_CAP_S)
        else:
            return
