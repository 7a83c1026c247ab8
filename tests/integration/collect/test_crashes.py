"""The worker dies between any two steps, comes twice, or comes late: nobody is charged twice."""

import asyncio
from collections import Counter
from collections.abc import Sequence

import pytest

from billfleet_contracts import ChargeRef, CollectPayments
from billfleet_db import Database
from billfleet_db.errors import IntegrityRefused
from billfleet_workers.adapters.memory_payments import MemoryGateway, Step
from billfleet_workers.runtime.errors import Transient
from billfleet_workers.runtime.handling import Finished
from billfleet_workers.runtime.ports.payments import Declined, GatewayAnswer, NotSent, Unknown
from collect_world import FEBRUARY, HOUR_S, MARCH, World, execute, key, ref, reported
from crashes import Fuse, FusedDatabase, FusedGateway, LightsOut

SOFT = Step(Declined("insufficient_funds", "soft"))
LOST = Step(Unknown("timeout"), charges_anyway=True)
LEASE_S = 181
MOMENTS_AT_LEAST = 25


async def deliver_with(world: World, fuse: Fuse, *refs: ChargeRef) -> Finished:
    handler = world.handler(FusedGateway(world.gateway, fuse), FusedDatabase(world.database, fuse))
    return await handler.handle(world.work(CollectPayments(charges=refs)))


async def crash_everywhere(world: World, steps: Sequence[Step], periods: int) -> int:
    """Blow the fuse at every moment in turn, on an account of its own; how many there were."""
    wanted = (FEBRUARY, MARCH)[:periods]
    for moment in range(1, 400):
        name = f"a{moment}"
        await world.seed(name, periods=wanted)
        world.gateway.script(f"pm-{name}", *steps)
        refs = [ref(name, period) for period in wanted]
        fuse = Fuse(moment)
        try:
            await deliver_with(world, fuse, *refs)
        except LightsOut:
            await world.pass_time(LEASE_S)
            await world.collect(*refs)
        await world.pass_time(HOUR_S)
        await world.collect(*[ref(name, period, 1, 1) for period in wanted])
        if not fuse.is_blown:
            return moment
    raise AssertionError("the message never came to its end")


async def counts(world: World) -> tuple[Counter[str], Counter[object]]:
    charged = Counter(one.key for one in world.gateway.charges)
    rows = await world.rows("SELECT transfer_key FROM billing.transfers WHERE kind = 'payment'")
    return charged, Counter(name for (name,) in rows)


@pytest.mark.parametrize("periods", [1, 2])
async def test_crash_at_any_moment_leaves_one_charge_and_one_ledger_row(
    world: World, periods: int
) -> None:
    """R29: crashed before and after every statement, commit and call, then delivered again."""
    moments = await crash_everywhere(world, [], periods)
    assert moments > MOMENTS_AT_LEAST
    charged, posted = await counts(world)
    assert set(charged.values()) == set(posted.values()) == {1}
    assert len(charged) == len(posted) == moments * periods
    assert await world.rows("SELECT DISTINCT state FROM billing.bills") == [("paid",)]
    assert await world.rows("SELECT DISTINCT state FROM billing.accounts") == [("ACTIVE",)]


async def test_crash_around_a_lost_answer_leaves_one_charge_and_one_ledger_row(
    world: World,
) -> None:
    """R29, R23"""
    moments = await crash_everywhere(world, [LOST], 1)
    charged, posted = await counts(world)
    assert set(charged.values()) == set(posted.values()) == {1}
    assert len(charged) == len(posted) == moments
    assert await world.rows("SELECT DISTINCT state FROM billing.accounts") == [("ACTIVE",)]


async def test_crash_around_a_decline_counts_one_failure(world: World) -> None:
    """R26, R29"""
    moments = await crash_everywhere(world, [SOFT], 1)
    assert not world.gateway.charges
    rows = await world.rows("SELECT DISTINCT state, attempts_made FROM billing.bills")
    assert rows == [("open", 1)]
    announced = await world.rows("SELECT count(*), count(DISTINCT dedupe_key) FROM fleet.outbox")
    assert announced == [(moments, moments)]


async def test_crash_while_a_report_is_taken_in_leaves_one_ledger_row(world: World) -> None:
    """R29, R30"""
    for moment in range(1, 100):
        name = f"a{moment}"
        await world.seed(name)
        world.gateway.script(f"pm-{name}", LOST)
        await world.collect(ref(name))
        fuse = Fuse(moment)
        event = reported("succeeded", key(name), event_id=name)
        handler = world.handler(database=FusedDatabase(world.database, fuse))
        try:
            await handler.handle(world.work(event))
        except LightsOut:
            await world.report(event)
        if not fuse.is_blown:
            break
    _, posted = await counts(world)
    assert len(posted) == moment
    assert set(posted.values()) == {1}


async def test_two_workers_with_the_same_message_charge_once(world: World) -> None:
    """R20, R29: they share no lock but the database's."""
    names = [f"a{number:02}" for number in range(20)]
    await world.seed(*names)
    event = CollectPayments(charges=tuple(ref(name) for name in names))
    runs = [world.handler().handle(world.work(event)) for _ in range(3)]
    results = await asyncio.gather(*runs, return_exceptions=True)
    assert all(isinstance(result, Finished | Transient) for result in results)
    charged, posted = await counts(world)
    assert set(charged.values()) == set(posted.values()) == {1}
    assert len(charged) == len(names)


async def test_second_worker_leaves_a_leased_attempt_alone_until_its_lease_ends(
    world: World,
) -> None:
    """R20"""
    await world.seed("a1")
    others: list[object] = []

    class Watched(MemoryGateway):
        async def charge(self, name: str, body: str) -> GatewayAnswer:
            try:
                others.append(await world.collect())
            except Transient as error:
                others.append(error.retry_after_s)
            return await super().charge(name, body)

    watched = Watched(world.clock)
    await world.handler(watched).handle(world.work(CollectPayments(charges=(ref(),))))
    assert others == [180.0]
    assert world.gateway.calls == []
    assert len(watched.charges) == 1


async def test_redelivery_after_a_day_asks_before_it_charges(world: World) -> None:
    """R22: the gateway has forgotten the key, so charging again would take the money twice."""
    await world.seed("a1")
    with pytest.raises(LightsOut):
        await deliver_with(world, Fuse(_moment_after_the_charge(await _moments(world))), ref())
    assert len(world.gateway.charges) == 2  # that of the dry run, and ours
    await world.pass_time(25 * HOUR_S)
    await world.collect()
    assert world.gateway.calls[-1] == ("find", key())
    assert Counter(one.key for one in world.gateway.charges)[key()] == 1
    assert (await world.bill()).state == "paid"


async def test_redelivery_after_a_day_charges_what_the_gateway_never_heard_of(
    world: World,
) -> None:
    """R22"""
    await world.seed("a1")
    moment = _moment_after_the_charge(await _moments(world)) - 1
    with pytest.raises(LightsOut):
        await deliver_with(world, Fuse(moment), ref())
    await world.pass_time(25 * HOUR_S)
    assert (await world.collect()).note == {"paid": 1}
    assert world.gateway.calls[-2:] == [("find", key()), ("charge", key())]


async def test_crash_after_sending_what_was_unsent_before_is_asked_for_a_day_later(
    world: World,
) -> None:
    """R22, R25: from the moment that it may leave us, an unsent attempt is one like any other."""
    await world.seed("a1")
    world.gateway.script("pm-a1", *[Step(NotSent("refused"))] * 2)
    await world.collect(receive_count=5)
    handler = world.handler(FusedGateway(world.gateway, Fuse(2)))
    with pytest.raises(LightsOut):
        await handler.handle(world.work(CollectPayments(charges=(ref(),))))
    await world.pass_time(25 * HOUR_S)
    assert (await world.collect()).note == {"paid": 1}
    assert world.gateway.calls[-1] == ("find", key())
    assert len(world.gateway.charges) == 1


async def test_rows_that_refuse_one_payment_do_not_take_the_others_along(
    world: World, superuser_database: Database
) -> None:
    """R29: the refused one stays prepared, and is recorded once its rows allow it."""
    await world.seed("a1", "a2", "a3")
    await execute(
        superuser_database,
        "ALTER TABLE billing.transfers ADD CONSTRAINT ck_trouble "
        "CHECK (kind <> 'payment' OR account_id <> 'a2')",
    )
    refs = [ref(name) for name in ("a1", "a2", "a3")]
    with pytest.raises(IntegrityRefused, match="ck_trouble"):
        await world.collect(*refs)
    paid = await world.rows("SELECT account_id FROM billing.bills WHERE state = 'paid'")
    assert {name for (name,) in paid} == {"a1", "a3"}
    await execute(superuser_database, "ALTER TABLE billing.transfers DROP CONSTRAINT ck_trouble")
    await world.pass_time(LEASE_S)
    await world.collect(*refs)
    charged, posted = await counts(world)
    assert set(charged.values()) == set(posted.values()) == {1}
    assert len(charged) == len(posted) == 3


async def test_redelivery_within_a_day_sends_the_same_key_and_body(world: World) -> None:
    """R21, R22"""
    await world.seed("a1")
    with pytest.raises(LightsOut):
        await deliver_with(world, Fuse(_moment_after_the_charge(await _moments(world))), ref())
    await world.pass_time(22 * HOUR_S)
    await world.execute("UPDATE billing.accounts SET payment_method = 'other'")
    await world.collect()
    assert world.gateway.calls[-1] == ("charge", key())
    assert Counter(one.key for one in world.gateway.charges)[key()] == 1
    assert (await world.bill()).state == "paid"


class _Counting(Fuse):
    """Never blows; notes at which moment the gateway's call began."""

    def __init__(self, gateway: MemoryGateway) -> None:
        super().__init__(10**6)
        self._gateway = gateway
        self._known = len(gateway.calls)
        self.passed = 0
        self.first_after_call = 0

    def pass_moment(self) -> None:
        self.passed += 1
        if not self.first_after_call and len(self._gateway.calls) > self._known:
            self.first_after_call = self.passed


async def _moments(world: World) -> _Counting:
    await world.seed("dry")
    counting = _Counting(world.gateway)
    await deliver_with(world, counting, ref("dry"))
    return counting


def _moment_after_the_charge(counting: _Counting) -> int:
    return counting.first_after_call
