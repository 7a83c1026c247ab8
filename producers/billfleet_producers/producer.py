"""`Producer`: enqueue work from async code.

Used by services, by the fleet's sweeps and by its outbox relay. A thin shell: `preparing` makes
the messages, `sending` decides what to call and retry, the transport calls. It imports an AWS
client when it opens and not before.
"""

from __future__ import annotations

import asyncio
import random as system_random
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime
from importlib.util import find_spec
from types import TracebackType
from typing import Protocol, Self

from billfleet_contracts import Event
from billfleet_producers.claim_check import CheckingIn, ClaimCheck, LargeBody
from billfleet_producers.connection import Connection
from billfleet_producers.errors import ProducerError, ProducerMisconfigured, ProducerNotOpen
from billfleet_producers.outgoing import Outgoing
from billfleet_producers.packing import Batch
from billfleet_producers.preparing import Preparation, Sendable, random_id, utc_now
from billfleet_producers.report import Receipt, Report
from billfleet_producers.sending import Answer, RetryPolicy, Sending

_DEFAULT_RETRY = RetryPolicy()


class AsyncTransport(Protocol):
    """What carries batches: AWS, or a recording."""

    async def send(self, batch: Batch) -> list[Answer]:
        """One answer per message; raises ProducerError when the whole call failed."""

    async def store(self, large: LargeBody) -> None:
        """Leave a large body in S3; raises ProducerError when it is not there."""

    async def close(self) -> None:
        """Let go of connections."""


class Producer:
    """Enqueue typed work for a fleet, from async code.

    Open it once and keep it open; any number of tasks may share it.

    Args:
        stack: whose queues and topics, such as `billfleet-local`.
        source: who you are, such as `/shop/checkout`; it goes on every envelope.
        region: the AWS region; else AWS_REGION and the ordinary AWS configuration.
        endpoint_url: another endpoint than AWS's; else AWS_ENDPOINT_URL.
        topic_arns: ARNs by logical topic name, where a topic lives in another account or region
            or where sts:GetCallerIdentity is not allowed.
        calls_in_flight_max: batch calls at the same time.
        connect_timeout_s: how long to wait for a connection, in seconds.
        read_timeout_s: how long to wait for an answer, in seconds.
        retry: what is tried again, and how patiently.
        clock: the time for envelopes, aware.
        new_id: makes envelope ids.
        random: a number in [0, 1), for jitter.
        sleep: waits the given seconds.
        claim_check: where bodies above the limit of SQS or SNS are left; else they are refused.
        transport: replaces AWS altogether; see `RecordingProducer`.

    Example:
        >>> async with Producer(stack="billfleet-local", source="/shop") as producer:
        ...     receipt = await producer.send(event, tenant="acme")
    """

    def __init__(
        self,
        *,
        stack: str,
        source: str,
        region: str | None = None,
        endpoint_url: str | None = None,
        topic_arns: Mapping[str, str] | None = None,
        calls_in_flight_max: int = 8,
        connect_timeout_s: float = 5.0,
        read_timeout_s: float = 10.0,
        retry: RetryPolicy = _DEFAULT_RETRY,
        clock: Callable[[], datetime] = utc_now,
        new_id: Callable[[], str] = random_id,
        random: Callable[[], float] = system_random.random,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        claim_check: ClaimCheck | None = None,
        transport: AsyncTransport | None = None,
    ) -> None:
        self._connection = Connection(
            stack=stack,
            region=region,
            endpoint_url=endpoint_url,
            topic_arns=dict(topic_arns or {}),
            calls_in_flight_max=calls_in_flight_max,
            connect_timeout_s=connect_timeout_s,
            read_timeout_s=read_timeout_s,
        )
        self._preparation = Preparation(source, clock, new_id)
        self._claim_check = claim_check
        self._retry = retry
        self._random = random
        self._sleep = sleep
        self._given_transport = transport
        self._transport: AsyncTransport | None = None
        self._in_flight = asyncio.Semaphore(calls_in_flight_max)

    async def __aenter__(self) -> Self:
        # Bound to the loop that it is opened in, like the connections.
        self._in_flight = asyncio.Semaphore(self._connection.calls_in_flight_max)
        self._transport = self._given_transport or _aws_transport(self._connection)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        transport, self._transport = self._transport, None
        if transport is not None:
            await transport.close()

    def prepare(
        self,
        event: Event,
        *,
        tenant: str,
        dedupe_key: str | None = None,
        traceparent: str | None = None,
    ) -> Outgoing:
        """Make a message without sending it, for `send_batch`.

        Args:
            event: an event of the contract.
            tenant: whose work it is.
            dedupe_key: what makes two sends the same work; the event's own key when not given.
            traceparent: W3C Trace Context; else OpenTelemetry's current span, if there is one.

        Raises:
            ContractError: the event is not in the catalogue, or an argument breaks its schema.
        """
        return self._preparation.prepare(
            event, tenant=tenant, dedupe_key=dedupe_key, traceparent=traceparent
        )

    async def send(
        self,
        event: Event,
        *,
        tenant: str,
        dedupe_key: str | None = None,
        traceparent: str | None = None,
    ) -> Receipt:
        """Enqueue one event; arguments as for `prepare`.

        Raises:
            ContractError: the event or an argument breaks the contract.
            MessageTooLarge: the event exceeds what its queue or topic carries.
            QueueMissing: the queue or topic does not exist.
            NotPermitted: AWS refused the credentials.
            EndpointUnreachable: no answer, however often it was tried.
            SendFailed: AWS refused the message, or went on throttling.
            ProducerMisconfigured: no region, or an address that is no URL.
            ProducerNotOpen: used outside of `async with`.
        """
        message = self.prepare(event, tenant=tenant, dedupe_key=dedupe_key, traceparent=traceparent)
        report = await self.send_batch([message])
        for failure in report.failed:
            raise failure.error
        return report.sent[0]

    async def send_batch(self, items: Iterable[Sendable]) -> Report:
        """Enqueue many, in as few calls as AWS allows.

        Args:
            items: pairs of event and tenant, or messages from `prepare` or `Outgoing.from_body`.

        Returns:
            What was sent and what was not, and why. Nothing is raised for a single message or a
            single call; use `report.raise_for_failures()`.

        Raises:
            ContractError: an event or a tenant breaks the contract; nothing has been sent then.
            ProducerNotOpen: used outside of `async with`.
        """
        transport = self._open_transport()
        checking = CheckingIn.of(self._preparation.prepare_all(items), self._claim_check)
        for position, large in checking.large.items():
            if (error := await self._store(transport, large)) is not None:
                checking.refused[position] = error
        sending = Sending(checking.messages, self._retry, self._random, refused=checking.refused)
        while (turn := sending.next_round()) is not None:
            if turn.wait_s:
                await self._sleep(turn.wait_s)
            answers = await asyncio.gather(*(self._call(transport, b) for b in turn.batches))
            for batch, answer in zip(turn.batches, answers, strict=True):
                sending.take(batch, answer)
        return sending.report()

    async def _call(self, transport: AsyncTransport, batch: Batch) -> list[Answer] | ProducerError:
        async with self._in_flight:
            try:
                return await transport.send(batch)
            except ProducerError as error:
                return error

    async def _store(self, transport: AsyncTransport, large: LargeBody) -> ProducerError | None:
        for attempts_made in range(1, self._retry.attempts_max + 1):
            try:
                await transport.store(large)
            except ProducerError as error:
                if not error.retriable or attempts_made == self._retry.attempts_max:
                    return error
                await self._sleep(self._retry.wait_s(attempts_made, self._random))
            else:
                return None
        return None

    def _open_transport(self) -> AsyncTransport:
        if self._transport is None:
            raise ProducerNotOpen("use it inside `async with Producer(...)`", code="NotOpen")
        return self._transport


def _aws_transport(connection: Connection) -> AsyncTransport:
    # Topics need aiobotocore: said now, and not when the first fact leaves.
    if not find_spec("aiobotocore"):
        why = "aiobotocore is not installed: pip install 'billfleet-producers[async]'"
        raise ProducerMisconfigured(why, code="NoAsyncClient")
    from billfleet_producers.async_transport import AsyncAwsTransport

    return AsyncAwsTransport(connection)
