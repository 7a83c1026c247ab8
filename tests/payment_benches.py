"""The payment gateways under one roof, for the suite that each of them has to pass.

A bench is a gateway and the means to make its next charge go wrong. The stripe adapter talks to
the fake gateway on loopback; the memory twin is scripted; the log gateway can't go wrong.
"""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Literal, Protocol

from billfleet_ops.local.payment_faults import Fault
from billfleet_ops.local.payment_gateway import FakeGateway
from billfleet_workers.adapters.memory_payments import MemoryGateway, Step
from billfleet_workers.adapters.payments_log import LogGateway
from billfleet_workers.adapters.payments_stripe import StripeGateway
from billfleet_workers.runtime.clock import ManualClock
from billfleet_workers.runtime.ports.payments import Busy, Charge, Declined, PaymentGateway, Unknown

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
METHOD = "cus_ada/pm_card"

Trouble = Literal["soft_decline", "hard_decline", "lost_answer", "error", "busy"]


def charge(
    key: str = "acme:a1:2026-03-01:1", amount_minor: int = 2985, **changes: object
) -> Charge:
    method = changes.get("payment_method", METHOD)
    return Charge(
        key=key,
        tenant="acme",
        account_id="a1",
        period_start=date(2026, 3, 1),
        amount_minor=amount_minor,
        currency=str(changes.get("currency", "USD")),
        payment_method=None if method is None else str(method),
        description="a1 2026-03-01 to 2026-03-31",
    )


class Bench(Protocol):
    """A gateway that can be put into trouble."""

    clock: ManualClock

    @property
    def gateway(self) -> PaymentGateway: ...

    def make_trouble(self, *troubles: Trouble) -> None: ...

    def times_charged(self, key: str) -> int: ...


@dataclass
class MemoryBench:
    clock: ManualClock
    gateway: MemoryGateway

    def make_trouble(self, *troubles: Trouble) -> None:
        steps = {
            "soft_decline": Step(Declined("insufficient_funds", "soft")),
            "hard_decline": Step(Declined("stolen_card", "hard")),
            "lost_answer": Step(Unknown("timeout"), charges_anyway=True),
            "error": Step(Unknown("500")),
            "busy": Step(Busy("429", 1.0)),
        }
        self.gateway.script(METHOD, *(steps[trouble] for trouble in troubles))

    def times_charged(self, key: str) -> int:
        return sum(1 for one in self.gateway.charges if one.key == key)


@dataclass
class StripeBench:
    clock: ManualClock
    gateway: StripeGateway
    fake: FakeGateway

    def make_trouble(self, *troubles: Trouble) -> None:
        faults = {
            "soft_decline": Fault("decline", "insufficient_funds"),
            "hard_decline": Fault("decline", "stolen_card"),
            "lost_answer": Fault("reset_after"),
            "error": Fault("error_before"),
            "busy": Fault("too_many"),
        }
        self.fake.script(METHOD.partition("/")[2], *(faults[trouble] for trouble in troubles))

    def times_charged(self, key: str) -> int:
        return len(self.fake.charged(key))


@dataclass
class LogBench:
    clock: ManualClock
    gateway: LogGateway


@asynccontextmanager
async def stripe_bench(timeout_s: float = 5.0) -> AsyncIterator[StripeBench]:
    clock = ManualClock(NOW)
    fake = FakeGateway(now=clock.now)
    await fake.start()
    gateway = StripeGateway("sk_test_fake", api_base=fake.url, timeout_s=timeout_s)
    try:
        yield StripeBench(clock, gateway, fake)
    finally:
        await gateway.close()
        await fake.stop()


def memory_bench() -> MemoryBench:
    clock = ManualClock(NOW)
    return MemoryBench(clock, MemoryGateway(clock))


BENCHES: Sequence[str] = ("memory", "stripe")
