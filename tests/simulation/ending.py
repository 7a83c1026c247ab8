"""What must be true of every event when a world has come to rest.

`World` asks when its queue is empty and nobody has anything in hand: each event has its effect or
lies in the dead-letter queue with a reason and its own bytes, and nobody holds a claim.
"""

from collections.abc import Mapping

from simulation.bodies import body_of, key_of
from simulation.effects import effect_key
from simulation.plan import EventPlan
from simulation.sim_queue import Dead
from simulation.worker_desk import Services

REPEATS = frozenset({"late_error", "hang"})


def check_events(services: Services, sent_again: Mapping[int, float]) -> None:
    """Tell the judge of whatever is missing, or there too often."""
    judge = services.judge
    for event in services.plan.events:
        dead = [
            one
            for one in services.queue.dead
            if judge.message_events[one.message_id].number == event.number
        ]
        _check_dead(services, event, dead)
        effects = services.database.effects.get(effect_key(event), 0)
        if event.kind in ("garbage", "stranger"):
            if not dead:
                judge.blame("nothing is lost", f"poison {event.number} is gone")
        elif not effects and not dead and not _is_excused(services, event, sent_again):
            judge.blame("nothing is lost", f"event {event.number} has no effect")
        if effects > 1 and not _may_repeat(services, event):
            judge.blame("one event, one effect", f"event {event.number}: {effects} effects")
    for claim in judge.live_claims():
        judge.blame("nothing is stuck at the end", f"{claim}, and nothing is left to do")


def _check_dead(services: Services, event: EventPlan, dead: list[Dead]) -> None:
    if any(one.body != body_of(event) for one in dead):
        services.judge.blame("a dead letter keeps its body", f"event {event.number}")
    most = services.plan.max_receive_count
    if any(not one.reason and one.attempt < most for one in dead):
        services.judge.blame("a dead letter has a reason", f"event {event.number}")


def _may_repeat(services: Services, event: EventPlan) -> bool:
    """Where something went wrong around it, work without a unique key may be done twice."""
    plan = services.plan
    near = [one for one in plan.events if one.key == event.key or plan.batch_max]
    words = {word for one in near for word in one.script}
    return bool(not plan.is_calm or not plan.is_remembered or REPEATS & words)


def _is_excused(services: Services, event: EventPlan, sent_again: Mapping[int, float]) -> bool:
    """A second window: it was not opened, or its key was done once more in the meantime."""
    if event.kind != "again" or event.number not in sent_again:
        return event.kind == "again"
    done_at_s = services.judge.histories[key_of(event)].done_at_s
    remembered_from_s = sent_again[event.number] - services.plan.retain_s
    return done_at_s is not None and done_at_s > remembered_from_s
