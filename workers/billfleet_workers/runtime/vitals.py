"""Vitals: alive means that there is progress, not that a process exists.

The fleet asks them to watch; the health endpoint and the systemd watchdog ask them. A consumer is
stuck when it could receive (the gate is open, there is room) and SQS has not answered it for
longer than a long poll can last. A blocked event loop shows by itself: nobody answers.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import structlog

from billfleet_workers.runtime.clock import Clock
from billfleet_workers.runtime.consumer import Consumer
from billfleet_workers.runtime.gate import Gate
from billfleet_workers.runtime.ports.metrics import Metrics

LOOK_EVERY_S = 1.0
STUCK_AFTER_POLLS = 3.0
LAG_WORTH_A_LINE_MS = 1000.0


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether all is well, and what is not."""

    problems: tuple[str, ...]

    @property
    def is_well(self) -> bool:
        """Nothing is wrong."""
        return not self.problems


class Vitals:
    """What one process knows of its own health."""

    def __init__(
        self, consumers: Sequence[Consumer], gate: Gate, clock: Clock, metrics: Metrics
    ) -> None:
        self._consumers = consumers
        self._gate = gate
        self._clock = clock
        self._metrics = metrics
        self.lag_ms = 0.0
        self._log = structlog.get_logger("billfleet.vitals")

    def liveness(self) -> Verdict:
        """Is there progress? If not, only a restart helps."""
        return Verdict(
            tuple(
                f"queue {consumer.desk.queue.name}: no answer to a receive for "
                f"{consumer.last_answer_age_s:.0f} s"
                for consumer in self._consumers
                if consumer.is_stuck(STUCK_AFTER_POLLS)
            )
        )

    def readiness(self) -> Verdict:
        """Can it take work now? If not, waiting helps."""
        problems = [f"{name} is away: {reason}" for name, reason in self._gate.away.items()]
        problems += [
            f"queue {consumer.desk.queue.name} can't be received from: {consumer.receive_error}"
            for consumer in self._consumers
            if consumer.receive_error is not None
        ]
        if any(consumer.desk.draining.is_set() for consumer in self._consumers):
            problems.append("draining")
        return Verdict((*problems, *self.liveness().problems))

    async def watch(self, beat: Callable[[], None]) -> None:
        """Run for ever: measure, and call `beat` while there is progress."""
        while True:
            before_s = self._clock.monotonic()
            await self._clock.sleep(LOOK_EVERY_S)
            late_s = self._clock.monotonic() - before_s - LOOK_EVERY_S
            self.lag_ms = max(0.0, late_s * 1000)
            self._report()
            verdict = self.liveness()
            if verdict.is_well:
                beat()
            else:
                self._log.error("stuck", problems=list(verdict.problems))
            await asyncio.sleep(0)

    def _report(self) -> None:
        self._metrics.gauge("event_loop_lag_ms", self.lag_ms)
        if self.lag_ms > LAG_WORTH_A_LINE_MS:
            self._log.warning("event_loop_lags", lag_ms=round(self.lag_ms))
        for consumer in self._consumers:
            queue = consumer.desk.queue.name
            self._metrics.gauge("last_poll_age_s", consumer.last_answer_age_s, queue=queue)
            self._metrics.gauge("in_flight", consumer.in_flight, queue=queue)
