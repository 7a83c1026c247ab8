"""Planted bugs, each of which the simulation has to find.

A mutant takes a part's place in the world, or a verb's place in its module for as long as a hunt
lasts. A seed counts as a find only where the runtime without the bug keeps that rule.
"""

from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from billfleet_workers.runtime import admission, consumer, delivery
from billfleet_workers.runtime.ports.dedupe import (
    DedupeStore,
)
from billfleet_workers.runtime.ports.queue import Queue
from simulation import planted_bugs as bugs
from simulation.plan import draw
from simulation.rules import Violation
from simulation.worker_desk import Parts
from simulation.world import run


@dataclass(frozen=True)
class Mutant:
    """One bug: what takes whose place."""

    name: str
    parts: Parts = field(default_factory=Parts)
    patches: tuple[tuple[Any, str, Any], ...] = ()


@dataclass(frozen=True, slots=True)
class Find:
    """The first seed that shows a bug, and the rule that it breaks there."""

    seed: int
    violation: Violation


def hunt(mutant: Mutant, seeds_max: int) -> Find | None:
    """The first seed below `seeds_max` that finds the bug."""
    for seed in range(seeds_max):
        plan = replace(draw(seed), store="model")
        with planted(mutant):
            violation = run(plan, mutant.parts).violation
        if violation is not None:
            unharmed = run(plan).violation
            if unharmed is None or unharmed.rule != violation.rule:
                return Find(seed, violation)
    return None


@contextmanager
def planted(mutant: Mutant) -> Iterator[None]:
    """The bug is in while this lasts."""
    with ExitStack() as stack:
        for owner, name, bug in mutant.patches:
            stack.enter_context(_replaced(owner, name, bug))
        yield


@contextmanager
def _replaced(owner: Any, name: str, bug: Any) -> Iterator[None]:
    sound = getattr(owner, name)
    setattr(owner, name, bug)
    try:
        yield
    finally:
        setattr(owner, name, sound)


def _queue(wrapper: Callable[[Any], Any]) -> Parts:
    as_queue: Callable[[Any], Queue] = wrapper
    return Parts(queue=as_queue)


def _store(wrapper: Callable[[Any], Any]) -> Parts:
    as_store: Callable[[DedupeStore], DedupeStore] = wrapper
    return Parts(dedupe=as_store)


Verb = Callable[..., Awaitable[Any]]
_LIFE, _CONSUMER = delivery.Life, consumer.Consumer

MUTANTS: tuple[Mutant, ...] = (
    Mutant("skip the complete", _store(bugs.CompletesNothing)),
    Mutant("delete before complete", patches=((delivery, "complete", bugs.complete_later),)),
    Mutant(
        "ignore a refused complete",
        patches=((delivery, "complete", bugs.complete_whatever_the_answer),),
    ),
    Mutant("ignore a failed entry of bury", _queue(bugs.IgnoresBuryFailures)),
    Mutant("ignore a failed entry of delete", _queue(bugs.IgnoresDeleteFailures)),
    Mutant("trust TTL", Parts(table=bugs.TrustsTtl)),
    Mutant("no fencing on complete", Parts(table=bugs.CompletesUnfenced)),
    Mutant("release somebody else's claim", Parts(table=bugs.ReleasesUnfenced)),
    Mutant("no lease takeover", Parts(table=bugs.TakesNothingOver)),
    Mutant("take a live lease", Parts(table=bugs.TakesLiveLeases)),
    Mutant("forget what is done", Parts(table=bugs.ForgetsWhatIsDone)),
    Mutant(
        "work on what another holds", patches=((delivery, "claim", bugs.claim_what_others_hold),)
    ),
    Mutant("hand back, but not at once", _queue(bugs.HidesForAWhile)),
    Mutant(
        "hand back nothing on drain", patches=((_CONSUMER, "_hand_back", bugs.hand_back_nothing),)
    ),
    Mutant("heartbeat forgets", Parts(heartbeat=bugs.HeartbeatThatForgets)),
    Mutant("heartbeat extends visibility alone", Parts(heartbeat=bugs.HeartbeatWithoutLeases)),
    Mutant("heartbeat extends leases alone", Parts(heartbeat=bugs.HeartbeatWithoutVisibility)),
    Mutant("heartbeat never ends", Parts(heartbeat=bugs.HeartbeatWithoutEnd)),
    Mutant("deadline counts the wait", Parts(heartbeat=bugs.HeartbeatThatCountsTheWait)),
    Mutant("bury after delete", patches=((delivery, "settle", bugs.settle_deleting_first),)),
    Mutant("bury a tidied body", _queue(bugs.TouchesBodies)),
    Mutant("retry poison", patches=((delivery, "decode_one", bugs.retry_poison),)),
    Mutant(
        "FIFO goes on past a failure",
        patches=((admission, "_is_out_of_the_way", lambda one: True),),
    ),
    Mutant("FIFO rest not handed back", patches=((_LIFE, "_send_back", bugs.forget_the_rest),)),
    Mutant(
        "follower settled before its leader",
        patches=((_LIFE, "_claim", bugs.settle_followers_at_once),),
    ),
    Mutant("retry without release", patches=((delivery, "release", bugs.release_nothing),)),
    Mutant("tally forgets a column", Parts(tally=bugs.TallyWithoutHandedBack)),
    Mutant(
        "ask for more than there is room", patches=((_CONSUMER, "_room", bugs.room_without_bound),)
    ),
    Mutant(
        "a hanging poll is never cut", patches=((_CONSUMER, "_cut_hanging_polls", bugs.never_cut),)
    ),
    Mutant("no lanes", patches=((admission.Admission, "_lane", bugs.lane_of_its_own),)),
    Mutant("drain overruns its deadline", patches=((consumer, "SETTLE_MARGIN_S", 60.0),)),
    Mutant("a failed call blames everybody", patches=((_LIFE, "_answered", bugs.blame_everybody),)),
    Mutant("answers of a call mixed up", patches=((_LIFE, "_answered", bugs.mix_up_answers),)),
    Mutant("FIFO tries are receives", patches=((delivery, "_tries", bugs.receives_as_tries),)),
    Mutant("drain cancels nobody", patches=((_LIFE, "cancel_handlers", bugs.cancel_nobody),)),
)
