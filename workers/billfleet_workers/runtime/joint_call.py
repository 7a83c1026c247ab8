"""Calling handlers: for one message, or one call for many that a set-based handler takes.

The verb *handle* of delivery. A call for many is one task in which each message has a part: the
heartbeat and the drain cancel it like any other, and delivery sees to it that a message is never
blamed for its neighbours. It decides no outcome.
"""

import asyncio
from collections.abc import Callable, Sequence

import structlog

from billfleet_workers.runtime.desk import Desk
from billfleet_workers.runtime.errors import Unavailable
from billfleet_workers.runtime.handling import BatchHandler, Finished, Work, is_set_based
from billfleet_workers.runtime.in_flight import Delivery

_log = structlog.get_logger("billfleet.handling")


async def handle_one(delivery: Delivery, desk: Desk) -> Finished:
    """Run the handler for one message. The heartbeat cancels it when it is past its deadline."""
    work = _work_of(delivery, desk)
    handler = desk.handlers[work.envelope.type]
    started_s = desk.clock.monotonic()
    try:
        return await (_ask(handler, work) if is_set_based(handler) else handler.handle(work))
    except Unavailable as error:
        desk.gate.shut(error.dependency, error.reason)
        raise
    finally:
        delivery.handle_ms = desk.since_ms(started_s)


class JointCall:
    """One call for several messages of one set-based handler."""

    def __init__(self, deliveries: Sequence[Delivery], desk: Desk) -> None:
        self.deliveries = deliveries
        self.answers: Sequence[Finished | Exception] | None = None
        """Aligned with the deliveries. None: it failed as a whole, and nobody is to blame."""
        self._desk = desk
        self._is_cancelled = False
        self._task: asyncio.Task[None] | None = None

    def start(self, ended: "Callable[[JointCall], None]") -> None:
        """Begin; `ended` is called when it is over, however it ended."""
        self._task = asyncio.create_task(self._run())
        self._task.add_done_callback(lambda _: ended(self))
        for delivery in self.deliveries:
            delivery.task = self

    def cancel(self) -> None:
        """Stop the whole call, once: many of its messages may be overdue at the same time."""
        if self._task is not None and not self._is_cancelled:
            self._is_cancelled = True
            self._task.cancel()

    def done(self) -> bool:
        """Whether it has ended."""
        return self._task is not None and self._task.done()

    async def _run(self) -> None:
        desk, first = self._desk, self.deliveries[0]
        handler = desk.handlers[first.type]
        assert is_set_based(handler)  # noqa: S101 - only theirs are gathered
        works = [_work_of(delivery, desk) for delivery in self.deliveries]
        started_s = desk.clock.monotonic()
        try:
            answers = await handler.handle_batch(works)
            _check_aligned(answers, works)
            self.answers = answers
        except Unavailable as error:
            self.answers = [error] * len(works)
        except Exception as error:  # noqa: BLE001 - whatever it is: each message is tried alone
            _log.warning(
                "joint_call_failed",
                queue=desk.queue.name,
                messages=len(works),
                reason=f"{type(error).__name__}: {error}",
            )
        finally:
            took_ms = desk.since_ms(started_s)
            for delivery in self.deliveries:
                delivery.handle_ms = took_ms
        for answer in self.answers or ():
            if isinstance(answer, Unavailable):
                desk.gate.shut(answer.dependency, answer.reason)


async def _ask(handler: BatchHandler, work: Work) -> Finished:
    """A set-based handler, for one work."""
    answers = await handler.handle_batch([work])
    _check_aligned(answers, [work])
    if isinstance(answers[0], Exception):
        raise answers[0]
    return answers[0]


def _check_aligned(answers: Sequence[object], works: Sequence[Work]) -> None:
    if len(answers) != len(works):
        raise ValueError(f"the handler answered {len(answers)} of {len(works)} works")


def _work_of(delivery: Delivery, desk: Desk) -> Work:
    assert delivery.envelope is not None  # noqa: S101 - only what was decoded is claimed
    return Work(
        envelope=delivery.envelope,
        message_id=delivery.received.message_id,
        receive_count=delivery.received.receive_count,
        received_at=desk.clock.now(),
        token=delivery.token,
    )
