"""Rebilling, collecting, reports and new payment methods at once, on the same accounts."""

import asyncio
import random
from collections import Counter
from datetime import date

from billfleet_contracts import AccountPeriod, CollectPayments, RebillAccounts
from billfleet_db import collection
from billfleet_db.verify import verify
from billfleet_workers.adapters.memory_payments import Step
from billfleet_workers.handlers.rebill.handler import RebillHandler
from billfleet_workers.handlers.rebill.plan import RebillLimits
from billfleet_workers.runtime.errors import Transient
from billfleet_workers.runtime.ports.payments import Declined, Unknown
from collect_world import FEBRUARY, MARCH, NOW, TENANT, World, key, ref, reported
from rebill_world import CountingMetrics

APRIL = date(2026, 4, 1)
NAMES = [f"a{number:02}" for number in range(30)]


async def test_everything_at_once_neither_deadlocks_nor_charges_twice(world: World) -> None:
    """R8, R20, R44: whoever takes the same accounts takes them in the same order."""
    chance = random.Random(44)
    await world.seed(*NAMES, periods=(FEBRUARY, MARCH))
    for name in NAMES[::3]:
        world.gateway.script(f"pm-{name}", Step(Declined("insufficient_funds", "soft")))
    for name in NAMES[1::3]:
        world.gateway.script(f"pm-{name}", Step(Unknown("timeout"), charges_anyway=True))
    rebill = RebillHandler(
        world.database, world.clock, RebillLimits(horizon_days=60), CountingMetrics()
    )

    async def bill(some: list[str]) -> None:
        periods = tuple(AccountPeriod(account_id=name, period_start=APRIL) for name in some)
        await rebill.handle(world.work(RebillAccounts(as_of=APRIL, accounts=periods)))

    async def collect(some: list[str]) -> None:
        refs = tuple(ref(name, period) for name in some for period in (MARCH, FEBRUARY))
        await world.handler().handle(world.work(CollectPayments(charges=refs)))

    async def report(some: list[str]) -> None:
        for name in some[:3]:
            said = reported("succeeded", key(name, FEBRUARY), event_id=f"{name}-{chance.random()}")
            await world.report(said)

    async def pay_otherwise(some: list[str]) -> None:
        for name in some[:3]:
            async with world.database.transaction() as connection:
                await collection.change_payment_method(
                    connection, TENANT, name, f"pm-{name}", now=NOW
                )

    runs = [
        act(chance.sample(NAMES, 20))
        for _ in range(12)
        for act in (bill, collect, report, pay_otherwise)
    ]
    results = await asyncio.gather(*runs, return_exceptions=True)
    troubles = [str(one) for one in results if isinstance(one, BaseException)]
    assert not [one for one in troubles if "deadlock" in one]
    unforeseen = [one for one in results if isinstance(one, BaseException)
                  and not isinstance(one, Transient) and "no attempt" not in str(one)]  # fmt: skip
    assert not unforeseen
    charged = Counter(one.key for one in world.gateway.charges)
    assert set(charged.values()) == {1}
    rows = await world.rows(
        "SELECT account_id, period_start, count(*) FROM billing.transfers "
        "WHERE kind = 'charge' GROUP BY 1, 2 HAVING count(*) > 1"
    )
    assert not rows
    async with world.database.transaction("REPEATABLE READ") as connection:
        findings = await verify(connection, TENANT)
    assert [finding for finding in findings if finding.severity == "error"] == []
