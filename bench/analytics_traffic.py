"""The events of the analytics benchmark, the same for all that ask, and their right count.

`analytics.py` and `analytics_sender.py` use it. Of N events 1 % are sent twice, half of those as
the same message and half in one of their own, and 5 % are up to three days late. Some name their
brand, most leave it to their store; one store in four is unknown. It knows nothing of the fleet
but the contract.
"""

import random
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from billfleet_contracts import EventTracked

NAMES = ("purchase", "visit", "basket", "search")
BRAND_OF = {"s-0": "b-0", "s-1": "b-0", "s-2": "b-1"}
STORES = (*BRAND_OF, "s-unknown")
COPIES_AFTER = 3000

Key = tuple[str, str, int, str, str, str]
"""Tenant, name, the hour's first second since 1970, brand, store, currency."""


@dataclass(frozen=True, slots=True)
class Happening:
    """One event; `again` says how it is sent a second time: 'message', 'event', or not at all."""

    number: int
    tenant: str
    name: str
    occurred_at: datetime
    store: str
    brand: str | None
    amount_minor: int | None
    customer: int
    again: str | None

    @property
    def key(self) -> Key:
        """The bucket that must count it."""
        hour = self.occurred_at.replace(minute=0, second=0, microsecond=0)
        brand = self.brand or BRAND_OF.get(self.store, "")
        currency = "EUR" if self.amount_minor is not None else ""
        return (self.tenant, self.name, int(hour.timestamp()), brand, self.store, currency)

    def event(self) -> EventTracked:
        """What a till sends."""
        return EventTracked(
            name=self.name,
            event_id=f"e-{self.number}",
            source="till",
            occurred_at=self.occurred_at,
            customer_id=f"c-{self.customer}",
            brand_id=self.brand,
            store_id=self.store,
            amount_minor=self.amount_minor,
            currency="EUR" if self.amount_minor is not None else None,
            properties={"basket": self.number % 7, "channel": "till"},
        )


def traffic(events: int, tenants: int, now: datetime) -> Iterator[Happening]:
    """All of them, in the order in which they are sent."""
    chance = random.Random(events)
    now = now.astimezone(UTC).replace(microsecond=0)
    for number in range(events):
        late = timedelta(days=chance.uniform(0.5, 3)) if chance.random() < 0.05 else timedelta()
        name = NAMES[min(int(chance.expovariate(1)), 3)]
        yield Happening(
            number,
            tenant=f"t-{chance.randrange(tenants)}",
            name=name,
            occurred_at=now - late - timedelta(seconds=chance.randrange(3600)),
            store=chance.choice(STORES),
            brand="b-named" if chance.random() < 0.1 else None,
            amount_minor=int(500 * chance.paretovariate(1.3)) if name == "purchase" else None,
            customer=chance.randrange(5000),
            again=chance.choice(("message", "event")) if chance.random() < 0.01 else None,
        )


def with_copies(happenings: Iterable[Happening]) -> Iterator[tuple[Happening, bool]]:
    """What is sent, in order; second copies (True) follow a good while after the first."""
    waiting: deque[Happening] = deque()
    for one in happenings:
        yield one, False
        if one.again:
            waiting.append(one)
        while waiting and one.number - waiting[0].number >= COPIES_AFTER:
            yield waiting.popleft(), True
    yield from ((one, True) for one in waiting)


def right_count(events: int, tenants: int, now: datetime) -> dict[Key, tuple[int, int]]:
    """Per bucket how many there are and what they amount to, each counted once."""
    counted: dict[Key, tuple[int, int]] = {}
    for one in traffic(events, tenants, now):
        times, amount_minor = counted.get(one.key, (0, 0))
        counted[one.key] = (times + 1, amount_minor + (one.amount_minor or 0))
    return counted
