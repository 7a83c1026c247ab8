"""Beats: every few seconds a process says what it is, what it has at work, and how it fares.

The fleet runs them beside its consumers; `send` puts a beat where operators look (a table). Nothing
on a message's way waits for a beat, and a beat that can't be sent is only missed: it must never
disturb work. It knows no table.
"""

import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import structlog

from billfleet_workers.runtime.clock import Clock
from billfleet_workers.runtime.consumer import Consumer
from billfleet_workers.runtime.errors import DeliveryError
from billfleet_workers.runtime.in_flight import Delivery
from billfleet_workers.runtime.ports.metrics import Metrics
from billfleet_workers.runtime.recollection import Ended
from billfleet_workers.runtime.vitals import Vitals

EVERY_S = 10.0
AT_WORK_MAX = 20


@dataclass(frozen=True, slots=True)
class Identity:
    """Which process this is."""

    worker_id: str
    host: str
    pid: int
    version: str
    workers: tuple[str, ...]
    started_at: datetime


@dataclass(frozen=True, slots=True)
class AtWork:
    """A message in flight."""

    message_id: str
    event_id: str | None
    type: str
    tenant: str | None
    receive_count: int
    age_s: float
    is_handled: bool


@dataclass(frozen=True, slots=True)
class QueueBeat:
    """One queue, as this process sees it. Counts are since its start."""

    queue: str
    in_flight: int
    in_flight_limit: int
    last_poll_age_s: float
    oldest_unfinished_age_s: float
    receive_error: str | None
    tally: dict[str, int]
    at_work: tuple[AtWork, ...]


@dataclass(frozen=True, slots=True)
class Beat:
    """One process at one moment."""

    identity: Identity
    at: datetime
    memory_bytes: int
    loop_lag_ms: float
    is_draining: bool
    problems: tuple[str, ...]
    queues: tuple[QueueBeat, ...]
    ended: tuple[Ended, ...] = ()


class Beats:
    """The beats of one process."""

    def __init__(
        self,
        identity: Identity,
        vitals: Vitals,
        consumers: Sequence[Consumer],
        clock: Clock,
        metrics: Metrics,
        send: Callable[[Beat], Awaitable[None]],
    ) -> None:
        self._identity = identity
        self._vitals = vitals
        self._consumers = consumers
        self._clock = clock
        self._metrics = metrics
        self._send = send
        self._is_missing = False
        self._log = structlog.get_logger("billfleet.beats")

    async def run(self) -> None:
        """Beat for ever."""
        while True:
            await self.beat()
            await self._clock.sleep(EVERY_S)

    async def beat(self) -> None:
        """Beat once; a beat that can't be sent is missed."""
        beat = self.take()
        for one in beat.queues:
            self._metrics.gauge(
                "oldest_unfinished_age_s", one.oldest_unfinished_age_s, queue=one.queue
            )
        try:
            await self._send(beat)
        except DeliveryError as error:
            if not self._is_missing:
                self._log.warning("beat_missed", reason=error.reason)
            self._is_missing = True
        else:
            self._is_missing = False

    def take(self) -> Beat:
        """This moment's."""
        readiness = self._vitals.readiness()
        ended = [one for consumer in self._consumers for one in consumer.desk.recollection.take()]
        return Beat(
            identity=self._identity,
            at=self._clock.now(),
            memory_bytes=memory_bytes(),
            loop_lag_ms=self._vitals.lag_ms,
            is_draining=any(one.desk.draining.is_set() for one in self._consumers),
            problems=readiness.problems,
            queues=tuple(self._of_queue(consumer) for consumer in self._consumers),
            ended=tuple(ended),
        )

    def _of_queue(self, consumer: Consumer) -> QueueBeat:
        desk, now_s = consumer.desk, self._clock.monotonic()
        deliveries = sorted(desk.heartbeat.watched, key=lambda one: one.received_at_s)
        sent = [one.received.sent_at for one in deliveries if one.received.sent_at]
        if (went_back := desk.recollection.oldest_sent_at(now_s)) is not None:
            sent.append(went_back)
        oldest_s = (self._clock.now() - min(sent)).total_seconds() if sent else 0.0
        return QueueBeat(
            queue=desk.queue.name,
            in_flight=consumer.in_flight,
            in_flight_limit=desk.concurrency.limit,
            last_poll_age_s=round(consumer.last_answer_age_s, 1),
            oldest_unfinished_age_s=round(max(0.0, oldest_s), 1),
            receive_error=consumer.receive_error,
            tally=desk.tally.as_dict(),
            at_work=tuple(_at_work(one, now_s) for one in deliveries[:AT_WORK_MAX]),
        )


def _at_work(delivery: Delivery, now_s: float) -> AtWork:
    envelope = delivery.envelope
    return AtWork(
        message_id=delivery.received.message_id,
        event_id=envelope.id if envelope else None,
        type=delivery.type,
        tenant=envelope.tenant if envelope else None,
        receive_count=delivery.received.receive_count,
        age_s=round(now_s - delivery.received_at_s, 1),
        is_handled=delivery.started_at_s is not None,
    )


def memory_bytes(status: Path = Path("/proc/self/statm")) -> int:
    """What this process holds in memory; 0 where the system does not say."""
    try:
        return int(status.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0
