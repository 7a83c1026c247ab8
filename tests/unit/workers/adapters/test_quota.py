"""A rate that the whole fleet shares: never more, and a permit costs less than a call."""

import asyncio
import random
from datetime import UTC, datetime

import pytest

from billfleet_workers.adapters.dynamodb_quota import SlotQuota, slots_of
from billfleet_workers.adapters.memory_payments import MemoryGateway
from billfleet_workers.adapters.payments_rated import PATIENCE_S, RatedGateway
from billfleet_workers.runtime.clock import ManualClock
from billfleet_workers.runtime.errors import Unavailable
from billfleet_workers.runtime.ports.payments import Busy

NAME = "memory"


class Table:
    """What a conditional insert of DynamoDB promises."""

    def __init__(self) -> None:
        self.keys: set[str] = set()
        self.calls = 0
        self.is_away = False

    async def insert(self, key: str, expires_at_s: int) -> bool:
        self.calls += 1
        await asyncio.sleep(0)
        if self.is_away:
            raise Unavailable("dynamodb", "gone")
        if key in self.keys:
            return False
        self.keys.add(key)
        return True


def quota_of(table: Table, clock: ManualClock, rate: int, seed: int = 1) -> SlotQuota:
    return SlotQuota(table.insert, {NAME: rate}, clock, random.Random(seed).shuffle)


def clock() -> ManualClock:
    return ManualClock(datetime(2026, 1, 1, tzinfo=UTC))


@pytest.mark.parametrize("rate", [1, 2, 3, 5, 7, 25, 99, 100])
def test_slots_are_worth_exactly_the_rate(rate: int) -> None:
    assert sum(worth for _, worth in slots_of(rate)) == rate
    assert all(worth > 0 for _, worth in slots_of(rate))


@pytest.mark.parametrize("rate", [1, 4, 25])
async def test_many_processes_together_never_pass_the_rate(rate: int) -> None:
    table, time = Table(), clock()
    processes = [quota_of(table, time, rate, seed) for seed in range(4)]
    for _ in range(3):
        waits = await asyncio.gather(
            *(process.take(NAME) for process in processes for _ in range(rate * 2))
        )
        assert waits.count(0.0) == rate
        assert all(0 < wait <= 1 for wait in waits if wait)
        await time.advance(1)


async def test_permits_cost_few_calls() -> None:
    table, time = Table(), clock()
    quota = quota_of(table, time, 100)
    for _ in range(100):
        assert await quota.take(NAME) == 0.0
    assert table.calls == 5
    assert await quota.take(NAME) > 0
    assert table.calls == 5


async def test_what_has_no_rate_is_never_held_up() -> None:
    table, time = Table(), clock()
    assert await quota_of(table, time, 1).take("log") == 0.0
    assert table.calls == 0


async def test_a_call_waits_for_its_permit_and_is_busy_when_none_comes() -> None:
    """R27: no permit is patience, not an attempt."""
    table, time = Table(), clock()
    inside = MemoryGateway(time)
    gateway = RatedGateway(inside, quota_of(table, time, 1), time)
    assert await gateway.find("k", "{}") is None
    waiting = asyncio.create_task(gateway.find("k", "{}"))
    await time.advance(0.5)
    assert not waiting.done()
    await time.advance(0.6)
    assert await waiting is None

    class Never:
        async def take(self, name: str) -> float:
            return 1.0

    busy = asyncio.create_task(RatedGateway(inside, Never(), time).charge("k", "{}"))
    await time.advance(PATIENCE_S + 1)
    answer = await busy
    assert isinstance(answer, Busy)
    assert answer.retry_after_s > 0


async def test_when_nobody_can_say_nothing_is_called() -> None:
    table, time = Table(), clock()
    table.is_away = True
    answer = await RatedGateway(MemoryGateway(time), quota_of(table, time, 5), time).charge(
        "k", "{}"
    )
    assert isinstance(answer, Busy)
