"""How large each part of the fleet is: tasks, CPU, memory, how fast a queue must drain.

The services template and `billfleet capacity` read it. A worker that is not named has the size of
the many; the two environments are those that the templates know. It holds figures only.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Size:
    """One worker's tasks.

    `messages_per_s` is what one task of this size does (`billfleet capacity` says where from);
    `drain_s` is how long what waits may take at most before more tasks are started. `may_wait`
    workers run on Spot capacity; `tries_first` ones get a new image before the others do.
    """

    cpu_units: int = 256
    memory_mib: int = 512
    tasks_min: int = 1
    tasks_max: int = 20
    messages_per_s: float = 50.0
    drain_s: int = 120
    may_wait: bool = False
    tries_first: bool = False

    @property
    def backlog_per_task(self) -> int:
        """How many waiting messages one task is for."""
        return max(1, round(self.messages_per_s * self.drain_s))


OTHERS: Final = Size()
FRONT_DOOR: Final = Size(cpu_units=512, memory_mib=1024, tasks_min=2, tasks_max=10)
SIZES: Final[Mapping[str, Size]] = {
    "rebill": Size(tasks_min=2, tasks_max=40, messages_per_s=40, drain_s=300),
    "collect": Size(tasks_min=2, tasks_max=40, messages_per_s=20, drain_s=300),
    "loyalty-points": Size(tasks_min=2, tasks_max=60, messages_per_s=150, drain_s=60),
    "loyalty-view": Size(messages_per_s=100, may_wait=True, tries_first=True),
    "email": Size(tasks_min=2, messages_per_s=14, drain_s=600),
    "email-due-bills": Size(messages_per_s=60),
    "mail-feedback": Size(messages_per_s=100, drain_s=600, may_wait=True),
    "analytics": Size(
        tasks_max=60, messages_per_s=300, drain_s=600, may_wait=True, tries_first=True
    ),
    "reports": Size(
        cpu_units=512, memory_mib=1024, messages_per_s=0.1, drain_s=1800, may_wait=True
    ),
    "export": Size(
        cpu_units=1024, memory_mib=2048, messages_per_s=0.1, drain_s=1800, may_wait=True
    ),
    "webhooks": Size(messages_per_s=30, drain_s=300),
    "avatar": Size(cpu_units=512, memory_mib=1024, messages_per_s=5, drain_s=300, may_wait=True),
    "relay": Size(tasks_min=2, tasks_max=2, messages_per_s=1000),
}


def size_of(worker: str) -> Size:
    """The size of a worker."""
    return SIZES.get(worker, OTHERS)
