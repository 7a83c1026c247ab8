"""One exam for the windows port: in memory, and on DynamoDB through both clients."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import pytest

from billfleet_workers.adapters.aws_client import AwsClients
from billfleet_workers.adapters.aws_lean import LeanAwsClients
from billfleet_workers.adapters.dynamodb_windows import DynamoWindows
from billfleet_workers.adapters.memory_windows import MemoryWindows
from billfleet_workers.runtime.clock import ManualClock, SystemClock
from billfleet_workers.runtime.errors import Unavailable
from billfleet_workers.runtime.ports.windows import (
    WindowClaimed,
    WindowClosed,
    WindowHeld,
    Windows,
)

KEY = "due-bills#acme#acc-1"
HOUR = timedelta(minutes=60)


@dataclass
class Bench:
    windows: Windows
    clock: ManualClock


@pytest.fixture(params=["memory", "sdk", "lean"])
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    # Whole seconds, since the real store keeps no parts of them.
    clock = ManualClock(datetime.now(UTC).replace(microsecond=0))
    if request.param == "memory":
        yield Bench(MemoryWindows(clock), clock)
        return
    stack: str = request.getfixturevalue("dedupe_stack")
    environment: dict[str, str] = request.getfixturevalue("aws_environment")
    region, url = environment["AWS_REGION"], environment["AWS_ENDPOINT_URL"]
    clients = (
        AwsClients(region=region, endpoint_url=url)
        if request.param == "sdk"
        else LeanAwsClients(
            region=region, endpoint_url=url, clock=SystemClock(), jitter=lambda: 0.5
        )
    )
    windows = await DynamoWindows.open(clients, stack=stack, clock=clock)
    yield Bench(windows, clock)
    await windows.close()


async def happened(bench: Bench, token: str) -> bool:
    now = bench.clock.now()
    return await bench.windows.record(KEY, token, now, now + HOUR)


async def test_of_a_hundred_claims_at_once_one_is_answered_claimed(bench: Bench) -> None:
    """R46."""
    answers = await asyncio.gather(
        *(bench.windows.claim(KEY, f"token-{n}", 60) for n in range(100))
    )
    assert sum(isinstance(answer, WindowClaimed) for answer in answers) == 1
    assert sum(isinstance(answer, WindowHeld) for answer in answers) == 99


async def test_a_window_that_happened_keeps_everybody_out_until_its_end_and_not_a_second_longer(
    bench: Bench,
) -> None:
    """R45: the end is compared with our clock; whether the item was deleted plays no part."""
    started = bench.clock.now()
    await bench.windows.claim(KEY, "first", 60)
    assert await happened(bench, "first")
    await bench.clock.advance(3599)
    assert await bench.windows.claim(KEY, "second", 60) == WindowClosed(started, started + HOUR)
    assert isinstance(await bench.windows.claim(KEY, "first", 60), WindowClosed)
    await bench.clock.advance(1)
    assert await bench.windows.claim(KEY, "second", 60) == WindowClaimed(taken_over=False)


async def test_a_claim_whose_owner_died_is_taken_over_when_its_lease_has_ended(
    bench: Bench,
) -> None:
    """R42, R47: two phases, so that a crash silences nobody for the whole window."""
    started = bench.clock.now()
    await bench.windows.claim(KEY, "dead", 60)
    await bench.clock.advance(59)
    assert await bench.windows.claim(KEY, "next", 60) == WindowHeld(started + timedelta(seconds=60))
    await bench.clock.advance(1)
    assert await bench.windows.claim(KEY, "next", 60) == WindowClaimed(taken_over=True)


async def test_who_lost_the_lease_can_neither_renew_nor_record_nor_release(bench: Bench) -> None:
    await bench.windows.claim(KEY, "slow", 60)
    await bench.clock.advance(60)
    await bench.windows.claim(KEY, "fast", 60)
    assert not await bench.windows.renew(KEY, "slow", 60)
    assert not await happened(bench, "slow")
    assert not await bench.windows.release(KEY, "slow")
    assert await happened(bench, "fast")


async def test_the_same_token_claims_again_what_it_holds_and_the_lease_moves(bench: Bench) -> None:
    await bench.windows.claim(KEY, "mine", 60)
    await bench.clock.advance(30)
    assert await bench.windows.claim(KEY, "mine", 60) == WindowClaimed()
    assert await bench.windows.renew(KEY, "mine", 60)
    await bench.clock.advance(59)
    assert isinstance(await bench.windows.claim(KEY, "other", 60), WindowHeld)


async def test_a_released_window_is_free_and_one_that_happened_cannot_be_released(
    bench: Bench,
) -> None:
    """R42: a claim is the only reservation that there is: it happens or is released, never both,
    and lapses by itself. Points and money are moved at once, so none of them is ever reserved."""
    await bench.windows.claim(KEY, "mine", 60)
    assert await bench.windows.release(KEY, "mine")
    assert not await bench.windows.release(KEY, "mine")
    assert await bench.windows.claim(KEY, "other", 60) == WindowClaimed()
    await happened(bench, "other")
    assert not await bench.windows.release(KEY, "other")


async def test_recording_twice_with_the_same_token_is_harmless(bench: Bench) -> None:
    await bench.windows.claim(KEY, "mine", 60)
    assert await happened(bench, "mine")
    assert await happened(bench, "mine")


async def test_what_happened_is_recorded_even_where_the_claim_was_lost(bench: Bench) -> None:
    assert await happened(bench, "mine")
    assert isinstance(await bench.windows.claim(KEY, "other", 60), WindowClosed)


@pytest.fixture(params=["memory", "dynamodb"])
async def away(
    request: pytest.FixtureRequest, aws_environment: dict[str, str]
) -> AsyncIterator[Windows]:
    if request.param == "memory":
        memory = MemoryWindows(SystemClock())
        memory.faults.take_away()
        yield memory
        return
    clients = AwsClients(region="us-east-1", endpoint_url="http://127.0.0.1:9", attempts_max=1)
    windows = await DynamoWindows.open(clients, stack="test", clock=SystemClock())
    yield windows
    await windows.close()


async def test_a_store_that_cannot_be_asked_is_unavailable(away: Windows) -> None:
    with pytest.raises(Unavailable):
        await away.claim(KEY, "mine", 60)
