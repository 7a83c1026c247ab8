"""Everything that delivering for one queue needs, in one place.

`main` lays the desk, the consumer hands it to every verb of delivery. It decides nothing.
"""

import asyncio
import os
import random
from collections.abc import Callable
from dataclasses import dataclass, field

from billfleet_contracts import Decoder, decode
from billfleet_workers.runtime.clock import Clock
from billfleet_workers.runtime.concurrency import Concurrency
from billfleet_workers.runtime.gate import Gate
from billfleet_workers.runtime.handling import Handlers
from billfleet_workers.runtime.heartbeat import Heartbeat
from billfleet_workers.runtime.policy import DeliveryPolicy
from billfleet_workers.runtime.ports.dedupe import DedupeStore
from billfleet_workers.runtime.ports.metrics import Metrics
from billfleet_workers.runtime.ports.queue import Queue
from billfleet_workers.runtime.recollection import Recollection
from billfleet_workers.runtime.tally import Tally


@dataclass(slots=True)
class Desk:
    """Everything that delivering for one queue needs."""

    queue: Queue
    dedupe: DedupeStore
    handlers: Handlers
    policy: DeliveryPolicy
    clock: Clock
    metrics: Metrics
    gate: Gate
    heartbeat: Heartbeat
    tally: Tally
    draining: asyncio.Event
    concurrency: Concurrency = field(default_factory=lambda: Concurrency(10, 40))
    fifo: bool = False
    tenant_max: int | None = None
    linger_s: float = 0.005
    gather_s: float = 0.02
    """How long claimed work waits for more of it, where its handler takes many at once."""
    decode: Decoder = decode
    recollection: Recollection = field(default_factory=Recollection)
    jitter: Callable[[], float] = random.random
    new_token: Callable[[], str] = field(default=lambda: os.urandom(16).hex())

    def since_ms(self, started_s: float) -> float:
        """Milliseconds since a monotonic reading."""
        return (self.clock.monotonic() - started_s) * 1000
