"""AWS Lambda entry points: `handle` for a queue's messages, `sweep` for a schedule.

A function of the image or of the zip that `billfleet package lambda` makes names one of them and
sets BILLFLEET_WORKER. Messages go through the same handlers and the same life as in a worker; the
answer names those that are not finished (ReportBatchItemFailures). What is open stays open
between calls.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any, Final, Protocol

from billfleet_workers.adapters.lambda_queue import LambdaQueue
from billfleet_workers.adapters.sqs import SqsQueue
from billfleet_workers.main.fleet_workers import SPECS
from billfleet_workers.main.fleet_workers.spec import Handlers
from billfleet_workers.main.parts import open_desk, open_queue
from billfleet_workers.main.shared import Shared, open_shared
from billfleet_workers.main.sweeps import sweep_collect, sweep_rebill
from billfleet_workers.runtime.delivery import deliver
from billfleet_workers.runtime.desk import Desk
from billfleet_workers.runtime.log import configure
from billfleet_workers.settings import Settings

MARGIN_S: Final = 3.0
"""Before Lambda would kill the function: what is not finished then is reported and comes back."""
ROLLBACK_S: Final = 1.0
"""Of that, for what was cancelled to give its locks back."""
SWEEPS: Final[Mapping[str, Callable[[Settings], Awaitable[Any]]]] = {
    "rebill": sweep_rebill,
    "collect": sweep_collect,
}


class Context(Protocol):
    """What Lambda says of a call."""

    def get_remaining_time_in_millis(self) -> int:
        """Until the function is killed."""
        ...


class LambdaHost:
    """One worker in one function: opened at its first call, and kept."""

    def __init__(self, settings: Settings, worker: str) -> None:
        if worker not in SPECS:
            raise ValueError(f"BILLFLEET_WORKER is {worker!r}; there are {', '.join(SPECS)}")
        self._settings = settings
        self._worker = worker
        self._runner = asyncio.Runner()
        self._closing = AsyncExitStack()
        self._opened: _Opened | None = None

    def handle(self, event: Mapping[str, Any], context: Context) -> dict[str, Any]:
        """Deliver one batch; the answer has the form that Lambda asks for."""
        return self._runner.run(self._handle(event, context))

    def close(self) -> None:
        """Close what is open. Lambda never asks for it; tests do."""
        self._runner.run(self._closing.aclose())
        self._runner.close()

    async def _handle(self, event: Mapping[str, Any], context: Context) -> dict[str, Any]:
        opened = await self._open()
        queue = LambdaQueue(opened.sqs, event)
        desk = open_desk(opened.shared, self._worker, queue, opened.handlers)
        within_s = max(0.1, context.get_remaining_time_in_millis() / 1000 - MARGIN_S)
        beating = asyncio.create_task(desk.heartbeat.run())
        try:
            async with asyncio.timeout(within_s):
                await _deliver(desk)
        except TimeoutError:
            # Not an error of the function: the rest of the batch is reported and comes back. What
            # was cancelled rolls back now, because a function that has answered stands still.
            cancelled = asyncio.all_tasks() - {asyncio.current_task(), beating}
            if cancelled:
                await asyncio.wait(cancelled, timeout=ROLLBACK_S)
        finally:
            beating.cancel()
            await asyncio.gather(beating, return_exceptions=True)
        return {"batchItemFailures": [{"itemIdentifier": name} for name in queue.failures]}

    async def _open(self) -> "_Opened":
        if self._opened is None:
            shared = await self._closing.enter_async_context(open_shared(self._settings))
            sqs = await open_queue(shared, self._worker)
            self._opened = _Opened(shared, sqs, await SPECS[self._worker].open(shared))
        return self._opened


@dataclass(frozen=True, slots=True)
class _Opened:
    """What stays open between calls."""

    shared: Shared
    sqs: SqsQueue
    handlers: Handlers


async def _deliver(desk: Desk) -> None:
    """Through the desk's own queue, which brings back bodies that were left in S3."""
    policy = desk.policy
    batch = await desk.queue.receive(
        limit=10_000, wait_s=0, visibility_timeout_s=policy.visibility_timeout_s
    )
    await deliver(batch, desk)


_hosts: dict[str, LambdaHost] = {}


def handle(event: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """The entry point of a function that an SQS queue triggers."""
    worker = os.environ.get("BILLFLEET_WORKER", "")
    if worker not in _hosts:
        settings = Settings()
        configure("json", settings.log_level)
        _hosts[worker] = LambdaHost(settings, worker)
    return _hosts[worker].handle(event, context)


def sweep(event: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """The entry point of a function that a schedule calls with `{"sweep": "rebill"}`."""
    del context
    name = str(event.get("sweep", ""))
    if name not in SWEEPS:
        raise ValueError(f"sweep is {name!r}; there are {', '.join(SWEEPS)}")
    settings = Settings()
    configure("json", settings.log_level)
    report = asyncio.run(_swept(SWEEPS[name], settings))
    if not report.is_complete:
        raise RuntimeError("not everything could be sent; the next run takes up what is left")
    return {"messages": report.sent.messages}


async def _swept(run: Callable[[Settings], Awaitable[Any]], settings: Settings) -> Any:
    return await run(settings)
