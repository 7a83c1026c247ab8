"""The plan of one schedule: what is sent, who works, and what goes wrong when.

`draw` makes it from a seed; the shrinker makes smaller ones from it by hand. It is plain data:
the same plan gives the same schedule. Times are seconds since the world began.
"""

import random
from dataclasses import dataclass, field, replace
from typing import Literal

EventKind = Literal["work", "garbage", "stranger", "imposter", "again"]
Word = Literal["ok", "transient", "unavailable", "error", "permanent", "late_error", "hang"]
FaultKind = Literal["throttle", "lost", "late", "slow", "partial", "entries", "twice", "hang"]
Service = Literal["queue", "dedupe", "database"]

VERBS: dict[Service, tuple[str, ...]] = {
    "queue": ("receive", "delete", "hide", "bury"),
    "dedupe": ("claim", "complete", "release", "extend"),
    "database": ("insert",),
}
KINDS: dict[Service, tuple[FaultKind, ...]] = {
    "queue": ("throttle", "lost", "late", "slow", "entries", "entries", "twice", "twice", "hang"),
    "dedupe": ("throttle", "lost", "late", "slow", "partial"),
    "database": ("throttle", "lost", "slow"),
}


@dataclass(frozen=True, slots=True)
class EventPlan:
    """One event, how often it is sent, and what its handler meets, call by call."""

    number: int
    kind: EventKind
    tenant: str
    key: int
    sends: tuple[tuple[float, float], ...]
    script: tuple[Word, ...] = ()
    work_s: float = 0.0
    is_unique: bool = True


@dataclass(frozen=True, slots=True)
class LifePlan:
    """One process of a worker, and how it ends: by itself never, by a crash, or by a drain."""

    crash_at_step: int = 0
    drops_in_flight: bool = True
    drain_at_s: float = 0.0
    drain_deadline_s: float = 0.0
    restart_after_s: float = 0.0


@dataclass(frozen=True, slots=True)
class WorkerPlan:
    """A worker: its lives one after the other, its clock's error, and when it stands still."""

    lives: tuple[LifePlan, ...] = (LifePlan(),)
    skew_s: float = 0.0
    freezes: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True, slots=True)
class FaultPlan:
    """Calls of some verbs go wrong in a window, each with a chance."""

    kind: FaultKind
    service: Service
    verbs: tuple[str, ...]
    from_s: float
    until_s: float
    chance: float = 1.0


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that a schedule depends on. `order` seeds what the plan leaves to chance."""

    seed: int
    order: int
    events: tuple[EventPlan, ...]
    workers: tuple[WorkerPlan, ...] = (WorkerPlan(),)
    faults: tuple[FaultPlan, ...] = ()
    fifo: bool = False
    store: Literal["model", "dynamodb"] = "model"
    is_shuffled: bool = True
    latency_s: float = 0.01
    lease_s: float = 6.0
    deadline_s: float = 14.0
    attempts_max: int = 8
    max_receive_count: int = 100
    retain_s: int = 86_400
    ceiling: int = 10
    receivers: int = 2
    tenant_max: int | None = None
    linger_s: float = 0.005
    batch_max: int = 0
    """How many works the handler takes at once. 0: it is not set-based."""
    gather_s: float = 0.02
    ttl_late_s: float = 3_600.0

    @property
    def is_calm(self) -> bool:
        """Nothing goes wrong around the runtime, so that not even unguarded work repeats."""
        return not self.faults and all(
            not worker.freezes
            and not worker.skew_s
            and not any(life.crash_at_step or life.drain_at_s for life in worker.lives)
            for worker in self.workers
        )

    @property
    def is_remembered(self) -> bool:
        """Whether what is done stays on record for longer than a schedule lasts."""
        return self.retain_s > 3_600

    @property
    def calm_from_s(self) -> float:
        """When the last fault is over."""
        ends = [fault.until_s for fault in self.faults]
        for worker in self.workers:
            ends += [at_s + for_s for at_s, for_s in worker.freezes]
        return max(ends, default=0.0)


@dataclass(slots=True)
class _Draft:
    chance: random.Random
    events: list[EventPlan] = field(default_factory=list)


def draw(seed: int) -> Plan:
    """The plan that a seed stands for."""
    chance = random.Random(seed)
    fifo = chance.random() < 0.3
    short = chance.random() < 0.12
    plan = Plan(
        seed=seed,
        order=seed,
        events=_events(chance, fifo=fifo, short=short),
        workers=tuple(_worker(chance) for _ in range(chance.choice((1, 1, 2, 2, 2, 3)))),
        fifo=fifo,
        store=chance.choice(("model", "model", "dynamodb")),
        is_shuffled=chance.random() < 0.8,
        latency_s=chance.choice((0.0, 0.005, 0.02, 0.1)),
        lease_s=chance.choice((5.0, 6.0, 8.0)),
        ceiling=chance.choice((1, 2, 3, 5, 10, 20)),
        receivers=chance.choice((1, 1, 2)),
        tenant_max=chance.choice((None, None, 1, 2)),
        linger_s=chance.choice((0.0, 0.005, 0.05)),
        max_receive_count=chance.choice((100, 100, 100, 10)),
        retain_s=chance.choice((8, 15)) if short else 86_400,
        ttl_late_s=chance.choice((0.0, 5.0, 3_600.0)),
    )
    return replace(
        plan,
        faults=_faults(chance),
        batch_max=chance.choice((0, 0, 0, 2, 3, 8)),
        gather_s=chance.choice((0.0, 0.02, 0.5)),
        attempts_max=chance.choice((8, 8, 3)) if fifo else 8,
    )


def _events(chance: random.Random, *, fifo: bool, short: bool) -> tuple[EventPlan, ...]:
    events: list[EventPlan] = []
    tenants = ("acme", "bell", "coal")[: chance.choice((1, 2, 3))]
    for number in range(chance.choice((1, 1, 2, 2, 2, 3, 3, 4, 5, 8))):
        kind: EventKind = "work"
        if number and chance.random() < 0.15:
            kind = chance.choice(("garbage", "stranger", "imposter"))
        event = EventPlan(
            number=number,
            kind=kind,
            tenant=chance.choice(tenants),
            key=number,
            sends=_sends(chance, fifo=fifo),
            script=_script(chance),
            work_s=chance.choice((0.0, 0.0, 0.01, 0.01, 0.3, 2.0, 2.0, 9.0)),
            is_unique=not short and chance.random() < 0.85,
        )
        if kind == "imposter":
            event = replace(event, tenant=events[0].tenant, key=events[0].key)
        events.append(event)
    if short:
        again = replace(events[0], number=len(events), kind="again", sends=(), script=())
        events.append(again)
    return tuple(events)


def _sends(chance: random.Random, *, fifo: bool) -> tuple[tuple[float, float], ...]:
    copies = 1 if chance.random() < 0.75 else chance.choice((2, 2, 3))
    at_s = chance.choice((0.0, 0.0, 0.0, chance.uniform(0.0, 6.0)))
    sends = []
    for _ in range(copies):
        delay_s = 0.0 if fifo or chance.random() < 0.9 else chance.uniform(0.5, 5.0)
        sends.append((round(at_s, 3), round(delay_s, 3)))
        at_s += chance.choice((0.0, 0.0, chance.uniform(0.0, 8.0)))
    return tuple(sends)


def _script(chance: random.Random) -> tuple[Word, ...]:
    if chance.random() < 0.6:
        return ()
    words: tuple[Word, ...] = (
        "ok", "transient", "transient", "error", "late_error", "unavailable", "hang", "permanent",
    )  # fmt: skip
    return tuple(chance.choice(words) for _ in range(chance.choice((1, 1, 2, 3))))


def _worker(chance: random.Random) -> WorkerPlan:
    lives: list[LifePlan] = []
    while len(lives) < 3 and chance.random() < 0.5:
        restart_s = round(chance.choice((0.0, 0.5, chance.uniform(0.0, 10.0))), 3)
        if chance.random() < 0.55:
            at_step = int(10 ** chance.uniform(0.5, 3.0))
            lives.append(LifePlan(at_step, chance.random() < 0.5, restart_after_s=restart_s))
        else:
            lives.append(
                LifePlan(
                    drain_at_s=round(chance.choice((0.05, 1.0, 4.0)) * chance.uniform(0.0, 2.0), 3),
                    drain_deadline_s=chance.choice((3.5, 5.0, 12.0)),
                    restart_after_s=restart_s,
                )
            )
    lives.append(LifePlan())
    freezes: tuple[tuple[float, float], ...] = ()
    if chance.random() < 0.25:
        freezes = ((round(chance.uniform(0.0, 8.0), 3), round(chance.uniform(0.5, 20.0), 3)),)
    skew_s = 0.0 if chance.random() < 0.6 else round(chance.uniform(-0.5, 0.5), 3)
    return WorkerPlan(tuple(lives), skew_s, freezes)


def _faults(chance: random.Random) -> tuple[FaultPlan, ...]:
    faults = []
    for _ in range(chance.choice((0, 1, 1, 2, 3))):
        service: Service = chance.choice(("queue", "queue", "dedupe", "dedupe", "database"))
        kind = chance.choice(KINDS[service])
        verbs = VERBS[service]
        if kind == "hang" or kind == "twice":
            verbs = ("receive",)
        elif kind == "entries":
            verbs = (chance.choice(("delete", "hide", "bury")),)
        elif chance.random() < 0.7:
            verbs = (chance.choice(verbs),)
        from_s = round(chance.choice((0.0, chance.uniform(0.0, 12.0))), 3)
        for_s = round(chance.choice((0.3, 2.0, 10.0)) * chance.uniform(0.2, 1.0), 3)
        faults.append(
            FaultPlan(kind, service, verbs, from_s, from_s + for_s, chance.choice((0.3, 0.7, 1.0)))
        )
    return tuple(faults)
