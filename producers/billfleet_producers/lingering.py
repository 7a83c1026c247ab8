"""`LingeringProducer`: many tasks send one message each, and share batch calls.

For services that send often and one by one, such as a web front end. It waits a moment for
company and hands what has gathered to a `Producer`, one round at a time, so that the order in a
FIFO group holds. It knows no AWS client.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from types import TracebackType
from typing import Protocol, Self

from billfleet_contracts import Event
from billfleet_producers.outgoing import Outgoing
from billfleet_producers.producer import Producer
from billfleet_producers.report import Failure, Receipt, Report

_Waiting = tuple[Outgoing, "asyncio.Future[Receipt]"]


class Promise(Protocol):
    """What a waiting sender holds: a future of asyncio, or of a thread."""

    def done(self) -> bool:
        """Whether its end is known."""

    def set_result(self, receipt: Receipt, /) -> None:
        """It was sent."""

    def set_exception(self, error: Exception, /) -> None:
        """It was not."""


def answer_each(taken: Sequence[tuple[Outgoing, Promise]], report: Report) -> None:
    """Give every waiting sender its own end."""
    ends: dict[str, deque[Receipt | Failure]] = {}
    answers: list[Receipt | Failure] = [*report.sent, *report.failed]
    for end in answers:
        ends.setdefault(end.what.event_id, deque()).append(end)
    for message, waiting in taken:
        end = ends[message.event_id].popleft()
        if waiting.done():
            continue
        if isinstance(end, Receipt):
            waiting.set_result(end)
        else:
            waiting.set_exception(end.error)


class LingeringProducer:
    """Sends what gathers within a moment in as few calls as AWS allows.

    Args:
        producer: an open producer; it stays yours to close.
        linger_s: how long the first message of a round waits for others, in seconds.
        round_max: messages of one round; a full round does not linger.
        waiting_max: messages that may wait; `send` waits for room beyond it.
        sleep: waits the given seconds.

    Example:
        >>> async with Producer(stack="billfleet-local", source="/shop") as producer:
        ...     async with LingeringProducer(producer) as lingering:
        ...         receipt = await lingering.send(event, tenant="acme")
    """

    def __init__(
        self,
        producer: Producer,
        *,
        linger_s: float = 0.01,
        round_max: int = 500,
        waiting_max: int = 10_000,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._producer = producer
        self._linger_s = linger_s
        self._round_max = round_max
        self._waiting_max = waiting_max
        self._sleep = sleep
        self._waiting: deque[_Waiting] = deque()
        self._full = asyncio.Event()
        self._room = asyncio.Condition()
        self._sending: asyncio.Task[None] | None = None
        self._is_closing = False

    async def __aenter__(self) -> Self:
        self._is_closing = False
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._is_closing = True
        await self.flush()

    async def send(
        self,
        event: Event,
        *,
        tenant: str,
        dedupe_key: str | None = None,
        traceparent: str | None = None,
    ) -> Receipt:
        """Enqueue one event and wait until AWS has it; arguments and errors as `Producer.send`.

        A caller that is cancelled stops waiting; its message is sent all the same.
        """
        message = self._producer.prepare(
            event, tenant=tenant, dedupe_key=dedupe_key, traceparent=traceparent
        )
        return await self.send_prepared(message)

    async def send_prepared(self, message: Outgoing) -> Receipt:
        """Enqueue a message of `prepare`; as `send`."""
        async with self._room:
            await self._room.wait_for(lambda: len(self._waiting) < self._waiting_max)
            end: asyncio.Future[Receipt] = asyncio.get_running_loop().create_future()
            # A caller that was cancelled asks no more, and its error is then nobody's.
            end.add_done_callback(lambda done: done.cancelled() or done.exception())
            self._waiting.append((message, end))
        if len(self._waiting) >= self._round_max:
            self._full.set()
        if self._sending is None:
            self._sending = asyncio.create_task(self._send_all())
        return await asyncio.shield(end)

    async def flush(self) -> None:
        """Send what waits, without lingering, and wait until it has been answered."""
        while self._sending is not None:
            self._full.set()
            await asyncio.wait([self._sending])

    async def _send_all(self) -> None:
        try:
            while self._waiting:
                await self._linger()
                await self._send_round()
        finally:
            self._sending = None

    async def _linger(self) -> None:
        if len(self._waiting) < self._round_max and not self._is_closing:
            lingering = asyncio.ensure_future(self._sleep(self._linger_s))
            filling = asyncio.ensure_future(self._full.wait())
            await asyncio.wait((lingering, filling), return_when=asyncio.FIRST_COMPLETED)
            lingering.cancel()
            filling.cancel()
        self._full.clear()

    async def _send_round(self) -> None:
        count = min(len(self._waiting), self._round_max)
        taken = [self._waiting.popleft() for _ in range(count)]
        async with self._room:
            self._room.notify_all()
        try:
            report = await self._producer.send_batch([message for message, _ in taken])
        except Exception as error:  # noqa: BLE001 - whatever it is belongs to who waits for it
            for _, end in taken:
                if not end.done():
                    end.set_exception(error)
        except BaseException:
            for _, end in taken:
                end.cancel()
            raise
        else:
            answer_each(taken, report)
