"""From a failing plan to the shortest that still breaks the same rule.

Greedy: it leaves out events, workers, faults, lives and windows, halves what is left, and keeps
each smaller plan that fails the same way. It asks `run` and knows nothing of how a world works.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import TypeVar

from simulation.plan import EventPlan, FaultPlan, LifePlan, Plan, WorkerPlan

ORDERS = 3
T = TypeVar("T")
Fails = Callable[[Plan], bool]


def shrink(plan: Plan, fails: Fails, *, runs_max: int = 1500) -> Plan:
    """The smallest plan found within so many runs for which `fails` still holds."""
    left = runs_max
    is_smaller = True
    while is_smaller:
        is_smaller = False
        for candidate in _smaller(plan):
            for turn in range(ORDERS):
                left -= 1
                if left < 0:
                    return plan
                ordered = replace(candidate, order=candidate.order + turn)
                if fails(ordered):
                    plan, is_smaller = ordered, True
                    break
            if is_smaller:
                break
    return plan


def _smaller(plan: Plan) -> Iterator[Plan]:
    """Every plan that is one step smaller, the biggest steps first."""
    yield from _fewer_events(plan)
    for n in range(len(plan.workers)):
        if len(plan.workers) > 1:
            yield replace(plan, workers=_without(plan.workers, n))
    for n in range(len(plan.faults)):
        yield replace(plan, faults=_without(plan.faults, n))
    for n, worker in enumerate(plan.workers):
        for smaller_worker in _smaller_worker(worker):
            yield replace(plan, workers=_with(plan.workers, n, smaller_worker))
    for n, event in enumerate(plan.events):
        for smaller_event in _smaller_event(event):
            yield replace(plan, events=_with(plan.events, n, smaller_event))
    for n, fault in enumerate(plan.faults):
        for smaller_fault in _smaller_fault(fault):
            yield replace(plan, faults=_with(plan.faults, n, smaller_fault))
    yield from _simpler_worlds(plan)


def _fewer_events(plan: Plan) -> Iterator[Plan]:
    half = len(plan.events) // 2
    if half > 1:
        yield replace(plan, events=plan.events[:half])
        yield replace(plan, events=plan.events[half:])
    for n in range(len(plan.events)):
        if len(plan.events) > 1:
            yield replace(plan, events=_without(plan.events, n))


def _smaller_worker(worker: WorkerPlan) -> Iterator[WorkerPlan]:
    for n in range(len(worker.lives) - 1):
        yield replace(worker, lives=_without(worker.lives, n))
    for n, life in enumerate(worker.lives):
        if life.restart_after_s:
            yield replace(worker, lives=_with(worker.lives, n, replace(life, restart_after_s=0.0)))
        if life.crash_at_step and not life.drops_in_flight:
            calmer: LifePlan = replace(life, drops_in_flight=True)
            yield replace(worker, lives=_with(worker.lives, n, calmer))
    if worker.skew_s:
        yield replace(worker, skew_s=0.0)
    if worker.freezes:
        yield replace(worker, freezes=())
        for n, (at_s, for_s) in enumerate(worker.freezes):
            if for_s > 0.5:
                yield replace(worker, freezes=_with(worker.freezes, n, (at_s, round(for_s / 2, 3))))


def _smaller_event(event: EventPlan) -> Iterator[EventPlan]:
    for n in range(len(event.sends)):
        if len(event.sends) > 1:
            yield replace(event, sends=_without(event.sends, n))
    if event.kind in ("garbage", "stranger", "imposter"):
        yield replace(event, kind="work", key=event.number)
    for n in range(len(event.script)):
        yield replace(event, script=_without(event.script, n))
    if event.work_s:
        yield replace(event, work_s=0.0)
    if any(delay_s for _, delay_s in event.sends):
        yield replace(event, sends=tuple((at_s, 0.0) for at_s, _ in event.sends))
    if any(at_s for at_s, _ in event.sends):
        yield replace(event, sends=tuple((0.0, delay_s) for _, delay_s in event.sends))
    if not event.is_unique:
        yield replace(event, is_unique=True)


def _smaller_fault(fault: FaultPlan) -> Iterator[FaultPlan]:
    length_s = fault.until_s - fault.from_s
    if length_s > 0.05:
        middle_s = round(fault.from_s + length_s / 2, 3)
        yield replace(fault, until_s=middle_s)
        yield replace(fault, from_s=middle_s)
    for verb in fault.verbs:
        if len(fault.verbs) > 1:
            yield replace(fault, verbs=(verb,))
    if fault.chance < 1.0:
        yield replace(fault, chance=1.0)


def _simpler_worlds(plan: Plan) -> Iterator[Plan]:
    simpler = (
        replace(plan, is_shuffled=False),
        replace(plan, store="model"),
        replace(plan, fifo=False),
        replace(plan, tenant_max=None),
        replace(plan, receivers=1),
        replace(plan, max_receive_count=100),
        replace(plan, latency_s=0.01),
        replace(plan, linger_s=0.0),
        replace(plan, ceiling=10),
    )
    yield from (candidate for candidate in simpler if candidate != plan)


def _without(items: tuple[T, ...], n: int) -> tuple[T, ...]:
    return items[:n] + items[n + 1 :]


def _with(items: tuple[T, ...], n: int, item: T) -> tuple[T, ...]:
    return (*items[:n], item, *items[n + 1 :])
