"""Turns at the mail service: fair among tenants, patient, and never more than the quota gives."""

import asyncio
from datetime import UTC, datetime

from billfleet_workers.handlers.email.turns import Turns
from billfleet_workers.runtime.clock import ManualClock
from billfleet_workers.runtime.errors import Unavailable


class OneASecond:
    """A quota of one permit a second."""

    def __init__(self, clock: ManualClock) -> None:
        self._clock = clock
        self._next_s = 0.0

    async def take(self, name: str) -> float:
        now_s = self._clock.monotonic()
        if now_s < self._next_s:
            return self._next_s - now_s
        self._next_s = now_s + 1
        return 0.0


def clock() -> ManualClock:
    return ManualClock(datetime(2026, 3, 2, tzinfo=UTC))


async def test_a_tenant_with_ten_thousand_mails_does_not_stand_before_one_with_one() -> None:
    time = clock()
    turns = Turns(OneASecond(time), "ses", time)
    served: list[str] = []

    async def take(tenant: str) -> None:
        assert await turns.take(tenant, 60)
        served.append(tenant)

    waiting = [asyncio.create_task(take("big")) for _ in range(8)]
    await time.advance(0)
    waiting += [asyncio.create_task(take("small")) for _ in range(2)]
    await time.advance(5)
    assert served == ["big", "big", "big", "small", "big", "small"]
    await time.advance(10)
    await asyncio.gather(*waiting)


async def test_who_gives_up_uses_no_turn_and_holds_up_nobody() -> None:
    time = clock()
    turns = Turns(OneASecond(time), "ses", time)
    assert await turns.take("a", 60)
    impatient = asyncio.create_task(turns.take("a", 0.5))
    patient = asyncio.create_task(turns.take("b", 60))
    await time.advance(1)
    assert await impatient is False
    await time.advance(1)
    assert await patient is True


async def test_being_sent_away_pauses_everybody() -> None:
    time = clock()
    turns = Turns(None, "ses", time)
    turns.pause(30)
    waiting = asyncio.create_task(turns.take("a", 60))
    await time.advance(29)
    assert not waiting.done()
    await time.advance(1)
    assert await waiting is True


async def test_a_quota_that_cannot_be_asked_gives_no_turn() -> None:
    class Away:
        async def take(self, name: str) -> float:
            raise Unavailable("DynamoDB", "away")

    time = clock()
    assert await Turns(Away(), "ses", time).take("a", 60) is False
