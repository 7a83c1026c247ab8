"""The publisher port: send stored bodies to a queue or a topic of the catalogue.

The outbox relay is its caller. It says entry by entry what was accepted; what was accepted may
still arrive twice, and what was not stays in the outbox.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from billfleet_workers.runtime.ports.queue import EntryFailure


@dataclass(frozen=True, slots=True)
class Letter:
    """An encoded envelope and where it goes."""

    event_id: str
    event_type: str
    tenant: str
    body: str
    route_kind: Literal["queue", "topic"]
    route_name: str
    group_id: str | None = None


class Publisher(Protocol):
    """Publishes letters of any number of routes in one call."""

    async def publish(self, letters: Sequence[Letter]) -> Sequence[EntryFailure | None]:
        """Send; the answer is aligned with the letters. `Unavailable` if nothing can be sent."""
        ...

    async def close(self) -> None:
        """Let go of connections. Safe to call twice."""
        ...
