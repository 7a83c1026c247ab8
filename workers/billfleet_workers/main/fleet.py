"""Running the fleet: start, work until told to stop, drain, report.

Called by `billfleet worker run`, `up` and `demo`. Consumers drain first and the relay last, so
that what handlers wrote while draining may still leave.
"""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import structlog

from billfleet_workers.adapters.systemd import Systemd
from billfleet_workers.main.observing import open_backlog_watch, open_beats, say_goodbye
from billfleet_workers.main.parts import (
    RELAY,
    WORKERS,
    open_consumer,
    open_health,
    open_relay,
    open_sealer,
)
from billfleet_workers.main.shared import Shared, check_shared, open_shared
from billfleet_workers.runtime.consumer import Consumer
from billfleet_workers.runtime.garbage import collect_less_often
from billfleet_workers.runtime.log import configure
from billfleet_workers.runtime.supervision import supervise
from billfleet_workers.runtime.tally import Tally
from billfleet_workers.runtime.vitals import Vitals
from billfleet_workers.settings import Settings

if TYPE_CHECKING:
    from billfleet_workers.handlers.relay import Relay

RELAY_DRAIN_S = 5.0


class UnknownWorker(ValueError):
    """A worker of this name does not exist; `billfleet worker list` names those that do."""


@dataclass(frozen=True, slots=True)
class FleetReport:
    """What a fleet did from start to drain, by queue."""

    tallies: Mapping[str, Tally]

    @property
    def adds_up(self) -> bool:
        """Whether every received message of every queue is accounted for."""
        return all(tally.adds_up for tally in self.tallies.values())


async def run_fleet(
    settings: Settings,
    names: Sequence[str],
    *,
    ready: Callable[[], None] = lambda: None,
    stop: asyncio.Event | None = None,
) -> FleetReport:
    """Run workers until `stop` is set or a signal says so, then drain.

    Args:
        settings: the fleet's settings.
        names: workers of `WORKERS`.
        ready: called once, when everything that the workers need has answered.
        stop: set it to drain; SIGTERM and SIGINT set it too.

    Raises:
        UnknownWorker: a name is not in `WORKERS`.
        Misconfigured: a queue, a table or a permission is missing.
        Unavailable: something does not answer at start.
        billfleet_db.errors.DatabaseError: the database does not answer, or refuses us.
    """
    unknown = sorted(set(names) - set(WORKERS))
    if unknown:
        raise UnknownWorker(f"no such worker: {', '.join(unknown)}; there are {', '.join(WORKERS)}")
    stop = stop or asyncio.Event()
    forget_signals = _stop_on_signals(stop)
    try:
        async with open_shared(settings) as shared:
            await check_shared(shared)
            return await _run(shared, names, ready, stop)
    finally:
        forget_signals()


def run(
    settings: Settings, names: Sequence[str], *, ready: Callable[[], None] = lambda: None
) -> FleetReport:
    """`run_fleet` in a process of its own: logs set up, on the fastest event loop installed."""
    configure(settings.log_format, settings.log_level, for_good=True)

    def settled() -> None:
        collect_less_often()
        ready()

    with asyncio.Runner(loop_factory=_fastest_loop()) as runner:
        return runner.run(run_fleet(settings, names, ready=settled))


def _fastest_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        from uvloop import new_event_loop
    except ImportError:
        # Not made for every platform; asyncio's own loop does the same work.
        return None
    return new_event_loop


async def _run(
    shared: Shared, names: Sequence[str], ready: Callable[[], None], stop: asyncio.Event
) -> FleetReport:
    log = structlog.get_logger("billfleet.fleet")
    consumers = [await open_consumer(shared, name) for name in names if name != RELAY]
    relay = await open_relay(shared) if RELAY in names else None
    vitals = Vitals(consumers, shared.gate, shared.clock, shared.metrics)
    systemd = Systemd(os.environ)
    await open_health(shared, vitals)
    side_tasks = [
        _supervised("gate", shared.gate.watch, shared),
        _supervised("vitals", partial(vitals.watch, systemd.beat), shared),
    ]
    beats, table = open_beats(shared, names, vitals, consumers)
    side_tasks.append(_supervised("beats", beats.run, shared))
    if relay is not None:
        side_tasks.append(_supervised("sealer", open_sealer(shared).run, shared))
        watch = await open_backlog_watch(shared)
        side_tasks.append(_supervised("backlog", watch.run, shared))
    relaying = _supervised(RELAY, relay.run, shared) if relay else None
    for consumer in consumers:
        consumer.start()
    log.info("fleet_started", workers=sorted(names), stack=shared.settings.stack)
    systemd.ready(f"running {', '.join(sorted(names))}")
    ready()
    try:
        await stop.wait()
    finally:
        systemd.stopping()
        log.info("fleet_draining", deadline_s=shared.settings.drain_deadline_s)
        await _drain(shared, consumers, relay, relaying)
        for task in side_tasks:
            task.cancel()
        await asyncio.gather(*side_tasks, return_exceptions=True)
        await say_goodbye(beats, table)
    report = FleetReport({consumer.desk.queue.name: consumer.desk.tally for consumer in consumers})
    log.info("fleet_stopped", adds_up=report.adds_up)
    return report


async def _drain(
    shared: Shared,
    consumers: Sequence[Consumer],
    relay: "Relay | None",
    relaying: "asyncio.Task[None] | None",
) -> None:
    deadline_s = shared.settings.drain_deadline_s
    await asyncio.gather(*(consumer.drain(deadline_s) for consumer in consumers))
    if relay is None or relaying is None:
        return
    relay.drain()
    await asyncio.wait([relaying], timeout=RELAY_DRAIN_S)
    relaying.cancel()
    await asyncio.gather(relaying, return_exceptions=True)


def _supervised(
    name: str, run: Callable[[], Awaitable[None]], shared: Shared
) -> "asyncio.Task[None]":
    return asyncio.create_task(supervise(name, run, clock=shared.clock, metrics=shared.metrics))


def _stop_on_signals(stop: asyncio.Event) -> Callable[[], None]:
    """Set `stop` on SIGTERM and SIGINT; returns what takes the handlers away again."""
    loop = asyncio.get_running_loop()
    taken: list[signal.Signals] = []
    for number in (signal.SIGTERM, signal.SIGINT):
        try:
            loop.add_signal_handler(number, stop.set)
        except (RuntimeError, ValueError):
            # Not the main thread: whoever runs us there sets `stop`.
            continue
        taken.append(number)

    def forget() -> None:
        for number in taken:
            loop.remove_signal_handler(number)

    return forget
