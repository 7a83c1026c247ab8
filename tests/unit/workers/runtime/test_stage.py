"""Micro-batches form across receives, bounded in size and in waiting."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime

from billfleet_workers.runtime.clock import ManualClock
from billfleet_workers.runtime.in_flight import Delivery
from billfleet_workers.runtime.ports.queue import Received
from billfleet_workers.runtime.stage import Stage


def deliveries(count: int) -> list[Delivery]:
    return [Delivery(Received(str(n), f"h{n}", "", 1), 0.0, f"t{n}") for n in range(count)]


class Bench:
    def __init__(
        self,
        *,
        linger_s: float = 1.0,
        patience_s: float | None = None,
        takes_s: float = 0.0,
        error: Exception | None = None,
    ) -> None:
        self.clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
        self.sizes: list[int] = []
        self.failures: list[tuple[int, Exception]] = []
        self._error = error
        self.stage = Stage(
            self.verb,
            lambda batch, error: self.failures.append((len(batch), error)),
            self.clock,
            size_max=25,
            linger_s=linger_s,
            patience_s=patience_s,
        )
        self._takes_s = takes_s

    async def verb(self, batch: Sequence[Delivery]) -> None:
        self.sizes.append(len(batch))
        if self._takes_s:
            await self.clock.sleep(self._takes_s)
        if self._error:
            raise self._error


async def test_a_full_batch_starts_at_once_and_the_rest_lingers() -> None:
    bench = Bench()
    for _ in range(3):
        bench.stage.put(deliveries(10))
    await asyncio.sleep(0)
    assert bench.sizes == [25]
    await bench.clock.advance(0.9)
    assert bench.sizes == [25]
    await bench.clock.advance(0.2)
    assert bench.sizes == [25, 5]


async def test_many_at_once_are_cut_to_size() -> None:
    bench = Bench()
    bench.stage.put(deliveries(60))
    await bench.clock.advance(2)
    assert bench.sizes == [25, 25, 10]


async def test_a_partial_batch_fills_up_while_another_is_in_the_air() -> None:
    bench = Bench(patience_s=10.0, takes_s=5.0)
    bench.stage.put(deliveries(10))
    await bench.clock.advance(1.5)
    for _ in range(3):
        bench.stage.put(deliveries(4))
        await bench.clock.advance(1.0)
    assert bench.sizes == [10]
    await bench.clock.advance(2.0)
    assert bench.sizes == [10, 12]


async def test_what_came_just_before_a_landing_still_lingers() -> None:
    bench = Bench(patience_s=10.0, takes_s=5.0)
    bench.stage.put(deliveries(25))
    await bench.clock.advance(4.5)
    bench.stage.put(deliveries(2))
    await bench.clock.advance(0.9)
    assert bench.sizes == [25]
    await bench.clock.advance(0.2)
    assert bench.sizes == [25, 2]


async def test_patience_with_a_slow_batch_has_an_end_and_full_batches_never_wait() -> None:
    bench = Bench(patience_s=10.0, takes_s=1000.0)
    bench.stage.put(deliveries(60))
    await bench.clock.advance(9.0)
    assert bench.sizes == [25, 25]
    await bench.clock.advance(1.5)
    assert bench.sizes == [25, 25, 10]


async def test_in_a_hurry_nobody_waits_for_what_is_in_the_air() -> None:
    bench = Bench(patience_s=1000.0, takes_s=1000.0)
    bench.stage.put(deliveries(26))
    bench.stage.hurry()
    await bench.clock.advance(0)
    assert bench.sizes == [25, 1]


async def test_in_a_hurry_nothing_lingers() -> None:
    bench = Bench(linger_s=1000)
    bench.stage.put(deliveries(3))
    bench.stage.hurry()
    await bench.clock.advance(0)
    assert bench.sizes == [3]
    bench.stage.put(deliveries(2))
    await bench.clock.advance(0)
    assert bench.sizes == [3, 2]


async def test_what_a_verb_raises_goes_to_the_owner_with_its_batch() -> None:
    error = RuntimeError("a defect")
    bench = Bench(error=error)
    bench.stage.put(deliveries(4))
    await bench.clock.advance(2)
    assert bench.failures == [(4, error)]


async def test_an_aborted_stage_does_nothing_more() -> None:
    bench = Bench()
    bench.stage.put(deliveries(3))
    bench.stage.abort()
    bench.stage.put(deliveries(30))
    await bench.clock.advance(5)
    assert bench.sizes == []
