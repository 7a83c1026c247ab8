"""The judge's books and what all of its rules stand on.

`ClaimRules`, `HandlerRules` and `Judge` build on it. It keeps what was seen from outside and
explains by faults what faults explain; it holds no rule itself.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from billfleet_workers.runtime.handling import Work
from billfleet_workers.runtime.tally import Tally
from simulation.plan import EventPlan, Plan
from simulation.seeded_loop import Process
from simulation.story import Story

if TYPE_CHECKING:
    from simulation.sim_queue import Dead, Stored

SKEW_MAX_S = 1.0
MARGIN_S = 2.0


@dataclass(frozen=True, slots=True)
class Violation:
    """A broken rule, by its name, and what happened."""

    rule: str
    what: str
    at_s: float

    def __str__(self) -> str:
        return f"{self.rule}: {self.what} (at {self.at_s:.3f} s)"


@dataclass(slots=True)
class Claim:
    """A claim that was granted, as the judge remembers it."""

    token: str
    process: Process
    granted_s: float
    lease_until_s: float


@dataclass(slots=True)
class History:
    """What happened to one dedupe key."""

    claim: Claim | None = None
    tokens: dict[str, Claim] = field(default_factory=dict)
    done_at_s: float | None = None
    done_until_s: float = 0.0
    released_s: float | None = None


@dataclass(slots=True, eq=False)
class Books:
    """What one process has in hand, counted from outside."""

    tally: Tally
    in_flight: Callable[[], int]
    received: int = 0
    asking_for: int = 0
    seen: set[str] = field(default_factory=set)
    unburied: set[str] = field(default_factory=set)
    deleted: set[str] = field(default_factory=set)
    running: dict[str, tuple[Work, EventPlan]] = field(default_factory=dict)
    running_since: dict[str, float] = field(default_factory=dict)
    started: dict[str, str] = field(default_factory=dict)
    let_down: set[str] = field(default_factory=set)
    claimed_keys: set[str] = field(default_factory=set)
    is_draining: bool = False
    is_over: bool = False


class Rules:
    """What was seen in one world, and the first rule that was broken in it."""

    def __init__(
        self, plan: Plan, time_s: Callable[[], float], story: Story, stop: Callable[[], None]
    ) -> None:
        self.plan = plan
        self.time_s = time_s
        self.story = story
        self.books: dict[Process, Books] = {}
        self.histories: dict[str, History] = {}
        self.message_keys: dict[str, str] = {}
        self.message_events: dict[str, EventPlan] = {}
        self.finished: dict[int, int] = {}
        self._finished_keys: dict[str, int] = {}
        self.burials: Callable[[], Sequence[Dead]] = list
        self.on_done: Callable[[str], None] = lambda key: None
        self.in_queue: Callable[[], Sequence[Stored]] = list
        self.violation: Violation | None = None
        self.is_over = False
        self._stop = stop

    def blame(self, rule: str, what: str) -> None:
        """A rule is broken: the schedule ends here."""
        if self.violation is None and not self.is_over:
            self.violation = Violation(rule, what, self.time_s())
            self.story.tell("JUDGE", rule, what)
            self._stop()

    def calling(self, process: Process, verb: str) -> None:
        """A port's verb is called."""
        if self.books[process].is_over:
            self.blame("a drained worker is silent", f"{process.name} calls {verb} after its drain")

    def is_buried(self, one: "Stored") -> bool:
        """Whether a copy lies in the dead-letter queue."""
        return any(dead.message_id == one.message_id for dead in self.burials())

    def works_on(self, process: Process, key: str) -> bool:
        running = self.books[process].running
        return any(self.message_keys[message_id] == key for message_id in running)

    def is_explained(self, process: Process) -> bool:
        """Whether a fault or a freeze met this process so lately that it may be late."""
        # In a call for many a message may be at work for two deadlines after its fault.
        longer_s = self.plan.deadline_s if self.plan.batch_max else 0.0
        since_s = self.time_s() - 2.5 * self.plan.lease_s - longer_s
        return process.disturbed_at_s > since_s or process.frozen_until_s > since_s
