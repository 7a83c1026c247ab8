"""Whatever a gateway does and customers change meanwhile: in the end each bill is paid once."""

import asyncio
import random
from collections import Counter
from datetime import date

import pytest

from billfleet_contracts import ChargeRef
from billfleet_db import bills, collection
from billfleet_db.verify import verify
from billfleet_workers.adapters.memory_payments import Step
from billfleet_workers.runtime.errors import Transient
from billfleet_workers.runtime.ports.payments import Busy, Declined, NotSent, Succeeded, Unknown
from collect_world import DAY_S, TENANT, World, reported

NAMES = ("a1", "a2")
PERIODS = [date(2026, month, 1) for month in range(1, 8)]
STEPS = (
    Step(),
    Step(Declined("insufficient_funds", "soft")),
    Step(Declined("stolen_card", "hard")),
    Step(Unknown("timeout"), charges_anyway=True),
    Step(Unknown("500")),
    Step(NotSent("refused")),
    Step(NotSent("it is invalid", "refused_request")),
    Step(Busy("429", 3.0)),
)


class Story:
    """One random life of two accounts."""

    def __init__(self, world: World, seed: int) -> None:
        self.world = world
        self.chance = random.Random(seed)
        self.methods = {name: f"pm-{name}" for name in NAMES}
        self.billed = dict.fromkeys(NAMES, 1)
        self.numbers = 0

    async def step(self) -> None:
        chance, name = self.chance, self.chance.choice(NAMES)
        match chance.randrange(10):
            case 0 | 1:
                steps = chance.choices(STEPS, k=chance.randint(1, 3))
                self.world.gateway.script(self.methods[name], *steps)
            case 2 | 3 | 4:
                await self.sweep(workers=chance.choice((1, 2)), receive_count=chance.randint(1, 6))
            case 5 | 6:
                await self.world.pass_time(chance.choice((200, 3600, DAY_S, 3 * DAY_S)))
            case 7:
                await self.pay_otherwise(name)
            case 8 if self.billed[name] < len(PERIODS):
                await self.world.add_bills(name, [PERIODS[self.billed[name]]])
                self.billed[name] += 1
            case _:
                await self.hear_of_one()

    async def sweep(self, *, workers: int = 1, receive_count: int = 6) -> None:
        now = self.world.clock.now()
        async with self.world.database.transaction() as connection:
            checks = await bills.due_for_check(connection, now=now)
            due = await bills.due_for_collection(connection, now=now)
        refs = [_ref(one, one.attempt_no, one.checks_made + 1) for one in checks]
        refs += [_ref(one, one.attempts_made + 1, 0) for one in due]
        if not refs:
            return
        jobs = [self.world.collect(*refs, receive_count=receive_count) for _ in range(workers)]
        for result in await asyncio.gather(*jobs, return_exceptions=True):
            if isinstance(result, BaseException) and not isinstance(result, Transient):
                raise result

    async def pay_otherwise(self, name: str) -> None:
        self.numbers += 1
        self.methods[name] = f"new-{self.numbers}"
        async with self.world.database.transaction() as connection:
            await collection.change_payment_method(
                connection, TENANT, name, self.methods[name], now=self.world.clock.now()
            )

    async def hear_of_one(self) -> None:
        found = await self.world.rows("SELECT attempt_key FROM billing.attempts ORDER BY 1")
        if found:
            await self.hear(str(self.chance.choice(found)[0]), "memory")

    async def hear(self, key: str, gateway: str) -> None:
        """A webhook, or a person, says what the gateway knows."""
        known = await self.world.gateway.find(key, "")
        if known is None and gateway == "memory":
            return
        self.numbers += 1
        result = "succeeded" if isinstance(known, Succeeded) else "declined"
        code = known.code if isinstance(known, Declined) else "never_heard_of"
        event = reported(
            result,
            key,
            gateway=gateway,
            event_id=f"e{self.numbers}",
            code=code if result == "declined" else "",
        )
        await self.world.report(event)

    async def end(self) -> None:
        """The gateway is well again, everybody pays otherwise, and people look at what is left."""
        for day in range(30):
            if day in (0, 10):
                for name in NAMES:
                    await self.pay_otherwise(name)
                async with self.world.database.transaction() as connection:
                    await collection.let_go(connection, TENANT, now=self.world.clock.now())
            await self.sweep()
            for (key,) in await self.world.rows(
                "SELECT attempt_key FROM billing.attempts "
                "WHERE state = 'unknown' AND next_check_at IS NULL"
            ):
                await self.hear(str(key), "operator")
            await self.world.pass_time(DAY_S)


def _ref(due: bills.DueBill | bills.DueCheck, attempt_no: int, check_no: int) -> ChargeRef:
    return ChargeRef(
        account_id=due.position.account_id,
        period_start=due.position.period_start,
        attempt_no=attempt_no,
        check_no=check_no,
    )


@pytest.mark.parametrize("seed", range(8))
async def test_every_bill_is_paid_once_and_every_account_is_active_in_the_end(
    world: World, seed: int
) -> None:
    """R20, R23, R28, R32, R35: and the audit finds nothing."""
    story = Story(world, seed)
    await world.seed(
        *NAMES, periods=PERIODS[:1], dunning={"offsets_days": [[1, 3, 7], [2], []][seed % 3]}
    )
    for _ in range(40):
        await story.step()
    await story.end()
    assert set(await world.rows("SELECT DISTINCT state FROM billing.bills")) == {("paid",)}
    assert set(await world.rows("SELECT DISTINCT state FROM billing.accounts")) == {("ACTIVE",)}
    moved = Counter(charge.key.rpartition(":")[0] for charge in world.gateway.charges)
    assert moved.total() == len(moved) == sum(story.billed.values())
    async with world.database.transaction("REPEATABLE READ") as connection:
        found = {finding.check for finding in await verify(connection)}
    # The accounts of these tests are billed by hand, so their next date is what it was.
    assert found <= {"next_date", "period_gap"}
