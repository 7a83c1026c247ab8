"""`SyncProducer`: enqueue work from ordinary, blocking code.

The twin of `Producer` for web code and scripts: the same arguments, reports and errors, without
an event loop. A thin shell; `preparing` and `sending` do the thinking.
"""

from __future__ import annotations

import random as system_random
import time
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from types import TracebackType
from typing import Protocol, Self

from billfleet_contracts import Event
from billfleet_producers.claim_check import CheckingIn, ClaimCheck, LargeBody
from billfleet_producers.connection import Connection
from billfleet_producers.errors import ProducerError, ProducerNotOpen
from billfleet_producers.outgoing import Outgoing
from billfleet_producers.packing import Batch
from billfleet_producers.preparing import Preparation, Sendable, random_id, utc_now
from billfleet_producers.report import Receipt, Report
from billfleet_producers.sending import Answer, RetryPolicy, Sending

_DEFAULT_RETRY = RetryPolicy()


class SyncTransport(Protocol):
    """What carries batches: AWS, or a recording."""

    def send(self, batch: Batch) -> list[Answer]:
        """One answer per message; raises ProducerError when the whole call failed."""

    def store(self, large: LargeBody) -> None:
        """Leave a large body in S3; raises ProducerError when it is not there."""

    def close(self) -> None:
        """Let go of connections."""


class SyncProducer:
    """Enqueue typed work for a fleet, from blocking code.

    Open it once and keep it open; threads may share it. Arguments as for `Producer`, except that
    calls are made one after another and `sleep` blocks.

    Example:
        >>> with SyncProducer(stack="billfleet-local", source="/shop") as producer:
        ...     receipt = producer.send(event, tenant="acme")
    """

    def __init__(
        self,
        *,
        stack: str,
        source: str,
        region: str | None = None,
        endpoint_url: str | None = None,
        topic_arns: Mapping[str, str] | None = None,
        connect_timeout_s: float = 5.0,
        read_timeout_s: float = 10.0,
        retry: RetryPolicy = _DEFAULT_RETRY,
        clock: Callable[[], datetime] = utc_now,
        new_id: Callable[[], str] = random_id,
        random: Callable[[], float] = system_random.random,
        sleep: Callable[[float], None] = time.sleep,
        claim_check: ClaimCheck | None = None,
        transport: SyncTransport | None = None,
    ) -> None:
        self._connection = Connection(
            stack=stack,
            region=region,
            endpoint_url=endpoint_url,
            topic_arns=dict(topic_arns or {}),
            connect_timeout_s=connect_timeout_s,
            read_timeout_s=read_timeout_s,
        )
        self._preparation = Preparation(source, clock, new_id)
        self._claim_check = claim_check
        self._retry = retry
        self._random = random
        self._sleep = sleep
        self._given_transport = transport
        self._transport: SyncTransport | None = None

    def __enter__(self) -> Self:
        self._transport = self._given_transport or _aws_transport(self._connection)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.close()

    def prepare(
        self,
        event: Event,
        *,
        tenant: str,
        dedupe_key: str | None = None,
        traceparent: str | None = None,
    ) -> Outgoing:
        """Make a message without sending it; as `Producer.prepare`."""
        return self._preparation.prepare(
            event, tenant=tenant, dedupe_key=dedupe_key, traceparent=traceparent
        )

    def send(
        self,
        event: Event,
        *,
        tenant: str,
        dedupe_key: str | None = None,
        traceparent: str | None = None,
    ) -> Receipt:
        """Enqueue one event; arguments and errors as `Producer.send`."""
        message = self.prepare(event, tenant=tenant, dedupe_key=dedupe_key, traceparent=traceparent)
        report = self.send_batch([message])
        for failure in report.failed:
            raise failure.error
        return report.sent[0]

    def send_batch(self, items: Iterable[Sendable]) -> Report:
        """Enqueue many, in as few calls as AWS allows; as `Producer.send_batch`."""
        transport = self._open_transport()
        checking = CheckingIn.of(self._preparation.prepare_all(items), self._claim_check)
        for position, large in checking.large.items():
            if (error := self._store(transport, large)) is not None:
                checking.refused[position] = error
        sending = Sending(checking.messages, self._retry, self._random, refused=checking.refused)
        while (turn := sending.next_round()) is not None:
            if turn.wait_s:
                self._sleep(turn.wait_s)
            for batch in turn.batches:
                sending.take(batch, _call(transport, batch))
        return sending.report()

    def _store(self, transport: SyncTransport, large: LargeBody) -> ProducerError | None:
        for attempts_made in range(1, self._retry.attempts_max + 1):
            try:
                transport.store(large)
            except ProducerError as error:
                if not error.retriable or attempts_made == self._retry.attempts_max:
                    return error
                self._sleep(self._retry.wait_s(attempts_made, self._random))
            else:
                return None
        return None

    def _open_transport(self) -> SyncTransport:
        if self._transport is None:
            raise ProducerNotOpen("use it inside `with SyncProducer(...)`", code="NotOpen")
        return self._transport


def _call(transport: SyncTransport, batch: Batch) -> list[Answer] | ProducerError:
    try:
        return transport.send(batch)
    except ProducerError as error:
        return error


def _aws_transport(connection: Connection) -> SyncTransport:
    # botocore is heavy: programs that only record never load it.
    from billfleet_producers.sync_transport import SyncAwsTransport

    return SyncAwsTransport(connection)
