"""The loop that the simulation stands on: virtual time, seeded order, processes that die."""

import asyncio
import random
import time

from simulation.seeded_loop import Process, SeededLoop, context_of, new_loop


def loop_of(seed: int = 0, *, is_shuffled: bool = True) -> SeededLoop:
    return new_loop(random.Random(seed), is_shuffled=is_shuffled)


def test_time_jumps_to_the_next_timer_without_waiting() -> None:
    loop, woke_at_s = loop_of(), []

    async def sleep() -> None:
        await asyncio.sleep(3_600)
        woke_at_s.append(loop.time())

    started_s = time.monotonic()
    loop.create_task(sleep())
    loop.run()
    assert woke_at_s == [3_600]
    assert time.monotonic() - started_s < 5


def test_a_timeout_is_virtual_too() -> None:
    loop, seen = loop_of(), []

    async def wait() -> None:
        try:
            async with asyncio.timeout(20):
                await asyncio.Event().wait()
        except TimeoutError:
            seen.append(loop.time())

    loop.create_task(wait())
    loop.run()
    assert seen == [20]


def order_of(seed: int, *, is_shuffled: bool) -> list[int]:
    loop, seen = loop_of(seed, is_shuffled=is_shuffled), list[int]()
    for number in range(6):
        loop.call_soon(seen.append, number)
    loop.run()
    return seen


def test_the_seed_decides_the_order_of_what_is_ready() -> None:
    assert order_of(1, is_shuffled=True) == order_of(1, is_shuffled=True)
    assert len({tuple(order_of(seed, is_shuffled=True)) for seed in range(9)}) > 1
    assert order_of(1, is_shuffled=False) == [0, 1, 2, 3, 4, 5]


def test_a_dead_process_runs_nothing_more() -> None:
    loop, process, seen = loop_of(), Process(0, "w0"), list[str]()

    async def work() -> None:
        seen.append("begun")
        try:
            await asyncio.sleep(1)
        finally:
            seen.append("tidied up")

    loop.create_task(work(), context=context_of(process))
    process.crash_at_step = 1
    process.on_crash = lambda: setattr(process, "is_dead", True)
    loop.run()
    assert seen == ["begun"]
    loop.bury_tasks()


def test_a_frozen_process_runs_later() -> None:
    loop, process, seen = loop_of(), Process(0, "w0"), list[float]()
    process.frozen_until_s = 7.0
    loop.call_later(1.0, lambda: seen.append(loop.time()), context=context_of(process))
    loop.call_later(2.0, lambda: seen.append(loop.time()))
    loop.run()
    assert seen == [2.0, 7.0]
