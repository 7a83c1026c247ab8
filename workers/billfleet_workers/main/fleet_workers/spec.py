"""What a worker is to the fleet: a name, a sentence for people, and how its handlers are opened.

Every module of this package makes one. Opening is where its handlers are imported, so that a
process loads only what the workers it was asked for need.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from billfleet_workers.main.permissions import Permissions
from billfleet_workers.main.shared import Shared
from billfleet_workers.runtime.handling import Handlers

__all__ = ["Handlers", "WorkerSpec"]


@dataclass(frozen=True, slots=True)
class WorkerSpec:
    """One worker. `name` is the one that the catalogue gives its queue.

    `permissions` is what its handlers may do on AWS, beyond reading their queue and claiming.
    `in_flight_max` is for one whose messages are heavy: a process takes no more of them.
    `gather_s` is for one whose handler takes many at once and that nobody waits for: so long its
    messages wait for more.
    """

    name: str
    description: str
    open: Callable[[Shared], Awaitable[Handlers]]
    permissions: Permissions = ()
    in_flight_max: int | None = None
    gather_s: float = 0.02
