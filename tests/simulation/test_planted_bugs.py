"""Every planted bug is found within its budget of seeds, and shrunk to what matters of it."""

from dataclasses import replace

import pytest

from simulation.mutants import MUTANTS, Mutant, hunt, planted
from simulation.plan import Plan, draw
from simulation.quiet_logs import dropped_logs
from simulation.shrinking import shrink
from simulation.world import run

SEEDS_MAX = 1_000


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_planted_bug_is_found(mutant: Mutant) -> None:
    with dropped_logs():
        assert hunt(mutant, SEEDS_MAX) is not None


def test_a_failing_schedule_is_shrunk_to_the_shortest() -> None:
    mutant = next(one for one in MUTANTS if one.name == "bury after delete")
    with dropped_logs(), planted(mutant):
        seed = next(n for n in range(100) if _breaks(draw(n)) and len(draw(n).events) > 3)
        plan = shrink(draw(seed), _breaks)
        assert _breaks(plan)
    assert len(plan.events) == len(plan.workers) == 1
    assert plan.faults == ()
    assert not plan.is_shuffled


def test_a_plan_that_can_not_shrink_stays_as_it_is() -> None:
    plan = replace(draw(1), seed=1)
    assert shrink(plan, lambda _: False) == plan


def _breaks(plan: Plan) -> bool:
    violation = run(plan).violation
    return violation is not None and violation.rule == "nothing is deleted before it is on record"
