"""The command: `python -m simulation --seeds N --start S`; `make sim` calls it.

Runs one schedule a seed, says how many it did a second, and for a failing seed prints the broken
rule, the shortest plan that it can find and that schedule's event log.
"""

import argparse
import gc
import os
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor

from simulation.mutants import MUTANTS, hunt
from simulation.plan import Plan, draw
from simulation.quiet_logs import drop_logs
from simulation.shrinking import shrink
from simulation.worker_desk import Parts
from simulation.world import run

COLLECT_EVERY = 100
CHUNK = 250


def main(arguments: list[str] | None = None) -> int:
    """Run; 0 when every schedule was clean."""
    asked = _parser().parse_args(arguments)
    drop_logs(for_good=True)
    if asked.mutants:
        return _hunt_all(asked.seeds)
    started_s = time.perf_counter()
    played, failed = 0, list[int]()
    tally: dict[str, int] = {}
    for chunk in _chunks(asked.start, asked.seeds, asked.jobs):
        played = min(played + CHUNK, asked.seeds)
        for seed, rule in chunk:
            failed.append(seed)
            tally[rule] = tally.get(rule, 0) + 1
        if failed and not asked.keep_going:
            break
    pace = played / (time.perf_counter() - started_s)
    say(
        f"{played} schedules from seed {asked.start}: {len(failed)} failed; "
        f"{pace:.0f} schedules/s in {asked.jobs} process(es)"
    )
    for rule, count in sorted(tally.items(), key=lambda item: -item[1]):
        say(f"  {count:5}  {rule}")
    if failed:
        _explain(failed[0])
        say(f"failing seeds: {failed[:20]}; again with --start {failed[0]} --seeds 1")
    return 1 if failed else 0


def say(line: str) -> None:
    """One line of the report."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=1000, help="how many schedules")
    parser.add_argument("--start", type=int, default=0, help="the first seed")
    parser.add_argument("--jobs", type=int, default=1, help="processes to share them")
    parser.add_argument("--keep-going", action="store_true", help="do not stop at a failing seed")
    parser.add_argument("--mutants", action="store_true", help="hunt the planted bugs instead")
    return parser


def _chunks(start: int, seeds: int, jobs: int) -> Iterable[list[tuple[int, str]]]:
    ranges = [
        (first, min(first + CHUNK, start + seeds)) for first in range(start, start + seeds, CHUNK)
    ]
    if jobs == 1:
        yield from (_run_range(one) for one in ranges)
        return
    with ProcessPoolExecutor(jobs) as pool:
        yield from pool.map(_run_range, ranges)


def _run_range(seeds: tuple[int, int]) -> list[tuple[int, str]]:
    """The failing seeds of a range, each with the rule that it breaks."""
    drop_logs(for_good=True)
    gc.disable()
    failed = []
    for seed in range(*seeds):
        violation = run(draw(seed)).violation
        if violation is not None:
            failed.append((seed, violation.rule))
        if seed % COLLECT_EVERY == 0:
            gc.collect()
    gc.enable()
    return failed


def _explain(seed: int) -> None:
    first = run(draw(seed)).violation
    assert first is not None
    say(f"\nseed {seed} breaks a rule: {first}\nlooking for the shortest schedule ...")
    plan = shrink(draw(seed), _breaks(first.rule))
    result = run(plan, is_told=True)
    say(f"\n{_described(plan)}\n\n{result.story}\n\n{result.violation}\n")


def _breaks(rule: str, parts: Parts | None = None) -> Callable[[Plan], bool]:
    def fails(plan: Plan) -> bool:
        violation = run(plan, parts).violation
        return violation is not None and violation.rule == rule

    return fails


def _described(plan: Plan) -> str:
    lines = [f"plan (order {plan.order}, asyncio's own order: {not plan.is_shuffled})"]
    lines += [f"  {event}" for event in plan.events]
    lines += [f"  {worker}" for worker in plan.workers]
    lines += [f"  {fault}" for fault in plan.faults]
    names = [name for name in plan.__slots__ if name not in ("events", "workers", "faults")]
    lines.append("  " + " ".join(f"{name}={getattr(plan, name)}" for name in names))
    return "\n".join(lines)


def _hunt_all(seeds_max: int) -> int:
    missed = 0
    for mutant in MUTANTS:
        found = hunt(mutant, seeds_max)
        missed += found is None
        said = f"seed {found.seed}: {found.violation}" if found else f"NOT FOUND in {seeds_max}"
        say(f"{mutant.name:<42} {said}")
    return 1 if missed else 0


if __name__ == "__main__":
    status = main()
    # Thousands of worlds are not worth tidying up one by one.
    os._exit(status)
