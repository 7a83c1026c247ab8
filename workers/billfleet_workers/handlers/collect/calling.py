"""One conversation with the gateway about one attempt, outside of any transaction.

The handler runs many of these side by side. Whatever a gateway does ends as an answer here, so
that one account's trouble never takes its neighbours' answers with it. It knows no table.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from billfleet_contracts import ChargeRef
from billfleet_db.attempts import Attempt
from billfleet_workers.handlers.collect.decide import Terms
from billfleet_workers.runtime.clock import Clock
from billfleet_workers.runtime.errors import Unavailable
from billfleet_workers.runtime.ports.metrics import Metrics
from billfleet_workers.runtime.ports.payments import (
    GatewayAnswer,
    NotSent,
    PaymentGateway,
    Unknown,
)


@dataclass(frozen=True, slots=True)
class Call:
    """An attempt that is saved and leased, and how it may be talked about."""

    ref: ChargeRef
    attempt: Attempt
    ask_first: bool = False
    may_charge: bool = True
    maybe_sent_before: bool = False


@dataclass(frozen=True, slots=True)
class Answered:
    """A call, what came of it, and whether the gateway wants none of us at present."""

    call: Call
    answer: GatewayAnswer
    refused_us: Unavailable | None = None


class Caller:
    """Calls the gateway and measures it."""

    def __init__(self, gateway: PaymentGateway, clock: Clock, metrics: Metrics) -> None:
        self._gateway = gateway
        self._clock = clock
        self._metrics = metrics

    async def call_all(self, calls: Sequence[Call], terms: Terms) -> list[Answered]:
        """All conversations side by side; the answers are aligned."""
        waiting = (self._call(call, terms) for call in calls)
        results = await asyncio.gather(*waiting, return_exceptions=True)
        return [_answered(call, result) for call, result in zip(calls, results, strict=True)]

    async def _call(self, call: Call, terms: Terms) -> GatewayAnswer:
        began_s = self._clock.monotonic()
        answer = await self._converse(call, terms)
        took_ms = (self._clock.monotonic() - began_s) * 1000
        name = self._gateway.name
        self._metrics.timing("gateway_ms", took_ms, gateway=name)
        result = type(answer).__name__.lower()
        self._metrics.count("payment_attempts", gateway=name, result=result)
        return answer

    async def _converse(self, call: Call, terms: Terms) -> GatewayAnswer:
        key, body = call.attempt.attempt_key, call.attempt.request_body
        if call.ask_first:
            found = await self._gateway.find(key, body)
            if found is not None:
                return found
            if not call.may_charge:
                return _never_charged(call, terms)
        answer = await self._gateway.charge(key, body)
        if isinstance(answer, NotSent) and answer.objection is None:
            # Nothing has left us, so the same request may go out again at once.
            answer = await self._gateway.charge(key, body)
        return answer


def _never_charged(call: Call, terms: Terms) -> GatewayAnswer:
    """What it means that the gateway knows nothing of a bill that was paid on another way."""
    if terms.now - call.attempt.created_at < terms.policy.search_lag:
        return Unknown("the gateway does not know it, or does not know it yet")
    return NotSent("the bill was paid otherwise, and the gateway was never charged")


def _answered(call: Call, result: GatewayAnswer | BaseException) -> Answered:
    match result:
        case Unavailable():
            nothing_sent = NotSent(result.reason) if call.may_charge else Unknown(result.reason)
            return Answered(call, nothing_sent, refused_us=result)
        case Exception():
            return Answered(call, Unknown(f"{type(result).__name__}: {result}"))
        case BaseException():
            raise result
        case _:
            return Answered(call, result)
