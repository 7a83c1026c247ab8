"""`LingeringSyncProducer`: many threads send one message each, and share batch calls.

The twin of `LingeringProducer` for blocking code. One thread of its own sends, one round at a
time, so that the order in a FIFO group holds. It knows no AWS client.
"""

from __future__ import annotations

import os
from collections import deque
from concurrent.futures import Future
from threading import Condition, Thread
from types import TracebackType
from typing import Self

from billfleet_contracts import Event
from billfleet_producers.errors import ProducerNotOpen
from billfleet_producers.lingering import answer_each
from billfleet_producers.outgoing import Outgoing
from billfleet_producers.report import Receipt
from billfleet_producers.sync_producer import SyncProducer


class LingeringSyncProducer:
    """Sends what gathers within a moment in as few calls as AWS allows.

    Arguments as for `LingeringProducer`.

    Example:
        >>> with SyncProducer(stack="billfleet-local", source="/shop") as producer:
        ...     with LingeringSyncProducer(producer) as lingering:
        ...         sent = lingering.post(event, tenant="acme")  # a Future
        ...         receipt = lingering.send(event, tenant="acme")
    """

    def __init__(
        self,
        producer: SyncProducer,
        *,
        linger_s: float = 0.01,
        round_max: int = 500,
        waiting_max: int = 10_000,
    ) -> None:
        self._producer = producer
        self._linger_s = linger_s
        self._round_max = round_max
        self._waiting_max = waiting_max
        self._waiting: deque[tuple[Outgoing, Future[Receipt]]] = deque()
        self._changed = Condition()
        self._is_open = False
        self._thread: Thread | None = None
        self._process_id = 0

    def __enter__(self) -> Self:
        self._is_open, self._process_id = True, os.getpid()
        self._thread = Thread(target=self._run, name="billfleet-lingering", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._changed:
            self._is_open = False
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()

    def post(
        self,
        event: Event,
        *,
        tenant: str,
        dedupe_key: str | None = None,
        traceparent: str | None = None,
    ) -> Future[Receipt]:
        """Enqueue one event without waiting for AWS; the future says what came of it.

        Blocks only while `waiting_max` messages wait. Errors of the contract are raised here,
        those of sending by the future. A future can be cancelled until its message leaves; then
        it is not sent.

        Raises:
            ContractError: the event or an argument breaks the contract.
            ProducerNotOpen: used outside of its `with` block, or in a process that was forked.
        """
        if self._is_open and self._process_id != os.getpid():
            # The thread that sends stayed with the parent: nobody would ever answer.
            raise ProducerNotOpen("open one of its own in each process", code="NotOpen")
        message = self._producer.prepare(
            event, tenant=tenant, dedupe_key=dedupe_key, traceparent=traceparent
        )
        end: Future[Receipt] = Future()
        with self._changed:
            self._changed.wait_for(
                lambda: not self._is_open or len(self._waiting) < self._waiting_max
            )
            if not self._is_open:
                raise ProducerNotOpen("use it inside `with LingeringSyncProducer`", code="NotOpen")
            self._waiting.append((message, end))
            self._changed.notify_all()
        return end

    def send(
        self,
        event: Event,
        *,
        tenant: str,
        dedupe_key: str | None = None,
        traceparent: str | None = None,
    ) -> Receipt:
        """Enqueue one event and wait until AWS has it; arguments and errors as `Producer.send`."""
        return self.post(
            event, tenant=tenant, dedupe_key=dedupe_key, traceparent=traceparent
        ).result()

    def _run(self) -> None:
        while gathered := self._gather():
            # From here on none of them can be cancelled under our hands.
            taken = [one for one in gathered if one[1].set_running_or_notify_cancel()]
            try:
                report = self._producer.send_batch([message for message, _ in taken])
            except Exception as error:  # noqa: BLE001 - whatever it is belongs to who waits for it
                for _, end in taken:
                    end.set_exception(error)
            else:
                answer_each(taken, report)

    def _gather(self) -> list[tuple[Outgoing, Future[Receipt]]]:
        """The next round; empty when closed and nothing waits any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or not self._is_open)
            self._changed.wait_for(
                lambda: len(self._waiting) >= self._round_max or not self._is_open,
                timeout=self._linger_s,
            )
            count = min(len(self._waiting), self._round_max)
            taken = [self._waiting.popleft() for _ in range(count)]
            self._changed.notify_all()
            return taken
