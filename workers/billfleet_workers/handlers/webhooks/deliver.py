"""Delivering: one signed POST to one endpoint, written down whatever came of it.

The runtime calls it with a claimed `DeliverWebhook`. The try is made outside of any transaction,
so that a slow endpoint holds no connection of ours. A crash between the try and the record lets
the endpoint hear twice, with the same webhook-id, as the specification expects.
"""

import random
from collections.abc import Callable
from datetime import timedelta

from sqlalchemy.ext.asyncio import AsyncConnection

from billfleet_contracts import DeliverWebhook
from billfleet_db import Database, webhook_deliveries, webhooks
from billfleet_db.webhook_deliveries import Attempt, Delivery, DeliveryState
from billfleet_db.webhooks import Endpoint
from billfleet_workers.handlers.unit_of_work import transaction
from billfleet_workers.handlers.webhooks.schedule import is_given_up, wait_s
from billfleet_workers.handlers.webhooks.signing import headers_of
from billfleet_workers.runtime.clock import Clock
from billfleet_workers.runtime.errors import Permanent, Transient
from billfleet_workers.runtime.handling import Finished, Work
from billfleet_workers.runtime.ports.metrics import Metrics
from billfleet_workers.runtime.ports.webhooks import (
    TargetRefused,
    WebhookAnswer,
    WebhookError,
    WebhookSender,
)

GONE = 410


class DeliverHandler:
    """Brings deliveries to their endpoints."""

    def __init__(
        self,
        database: Database,
        sender: WebhookSender,
        clock: Clock,
        metrics: Metrics,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self._database = database
        self._sender = sender
        self._clock = clock
        self._metrics = metrics
        self._jitter = jitter

    async def handle(self, work: Work) -> Finished:
        """Try once.

        Raises:
            Transient: it was not taken, and will be tried again when its time has come.
            Permanent: it was tried for the last time, may not be sent there, or is not known.
            Unavailable: PostgreSQL can't be reached; nothing was sent.
        """
        event = work.envelope.data
        if not isinstance(event, DeliverWebhook):
            raise Permanent(f"the webhooks worker does not deliver {work.envelope.type}")
        tenant = work.envelope.tenant
        async with transaction(self._database) as connection:
            delivery = await webhook_deliveries.get(connection, tenant, event.delivery_id)
            endpoint = await webhooks.get(connection, tenant, event.endpoint_id)
            if delivery is None or endpoint is None:
                raise Permanent("there is no such delivery: its endpoint or its log is gone")
            if delivery.state == "delivered":
                return Finished({"already_delivered": 1})
            if endpoint.disabled_at is not None:
                await webhook_deliveries.cancel(connection, delivery, now=self._clock.now())
                return Finished({"cancelled": 1})
            secrets = await webhooks.secrets_of(connection, endpoint, now=self._clock.now())
        return await self._deliver(delivery, endpoint, list(secrets))

    async def _deliver(
        self, delivery: Delivery, endpoint: Endpoint, secrets: list[str]
    ) -> Finished:
        started_at, started_s = self._clock.now(), self._clock.monotonic()
        body = delivery.body.encode()
        headers = headers_of(delivery.event_id, body, secrets, started_at)
        answer: WebhookAnswer | None = None
        error: WebhookError | None = None
        try:
            answer = await self._sender.post(endpoint.url, body, headers)
        except WebhookError as failed:
            error = failed
        attempt = Attempt(
            attempt_no=delivery.attempts_made + 1,
            started_at=started_at,
            duration_ms=round((self._clock.monotonic() - started_s) * 1000),
            status=answer.status if answer else None,
            error=_reason(answer, error),
            answer=answer.beginning if answer else None,
        )
        if answer is not None and answer.is_taken:
            return await self._taken(delivery, endpoint, attempt)
        return await self._not_taken(delivery, endpoint, attempt, is_refused=_is_refused(error))

    async def _taken(self, delivery: Delivery, endpoint: Endpoint, attempt: Attempt) -> Finished:
        async with transaction(self._database) as connection:
            await webhook_deliveries.record(
                connection,
                delivery,
                attempt,
                state="delivered",
                next_attempt_at=None,
                now=self._clock.now(),
            )
            await webhooks.note_well(connection, endpoint)
        self._metrics.count("webhook_attempts", result="delivered")
        return Finished({"delivered": 1, "attempt": attempt.attempt_no})

    async def _not_taken(
        self, delivery: Delivery, endpoint: Endpoint, attempt: Attempt, *, is_refused: bool
    ) -> Finished:
        now = self._clock.now()
        later_s = None if is_refused else wait_s(attempt.attempt_no, self._jitter())
        at = None if later_s is None else now + timedelta(seconds=later_s)
        async with transaction(self._database) as connection:
            is_off = await self._switched_off(connection, endpoint, attempt)
            state: DeliveryState = "failed" if at is None else "pending"
            if is_off:
                state = "cancelled"
            await webhook_deliveries.record(
                connection,
                delivery,
                attempt,
                state=state,
                next_attempt_at=None if is_off else at,
                now=now,
            )
        self._metrics.count("webhook_attempts", result=state)
        if is_off:
            return Finished({"cancelled": 1, "switched_off": 1})
        reason = f"endpoint {endpoint.endpoint_id}: {attempt.error}"
        if later_s is None:
            raise Permanent(f"{reason}, at attempt {attempt.attempt_no}")
        raise Transient(reason, retry_after_s=later_s)

    async def _switched_off(
        self, connection: AsyncConnection, endpoint: Endpoint, attempt: Attempt
    ) -> bool:
        """Switch an endpoint off that says it is gone, or has failed for days."""
        now = self._clock.now()
        since = await webhooks.note_failing(connection, endpoint, now=now)
        if attempt.status == GONE:
            reason = "it answered 410 Gone"
        elif is_given_up(since, now):
            reason = f"it has failed since {since.date().isoformat()}"
        else:
            return False
        return await webhooks.disable(
            connection, endpoint.tenant_id, endpoint.endpoint_id, reason, now=now
        )


def _reason(answer: WebhookAnswer | None, error: WebhookError | None) -> str | None:
    if error is not None:
        return error.reason
    if answer is None or answer.is_taken:
        return None
    return f"status {answer.status}"


def _is_refused(error: WebhookError | None) -> bool:
    return isinstance(error, TargetRefused)
