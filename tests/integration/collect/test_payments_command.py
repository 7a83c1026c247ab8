"""`billfleet payments`, as an operator uses it, up to what the worker then records."""

import asyncio
import json

import pytest

from billfleet_contracts import PaymentReported
from billfleet_db import figures
from billfleet_ops import cli
from billfleet_ops.database_checks import check_database
from billfleet_ops.exits import Exit
from billfleet_ops.runbooks import Runbook
from billfleet_workers.adapters.memory_payments import Step
from billfleet_workers.handlers.collect import CollectPolicy
from billfleet_workers.runtime.ports.payments import Declined, NotSent, Unknown
from collect_world import DAY_S, World, key, left, ref


@pytest.fixture
async def stuck(world: World, database_url: str, monkeypatch: pytest.MonkeyPatch) -> World:
    """An account whose attempt nobody asks about any more."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    world.policy = CollectPolicy(check_delays=())
    await world.seed("a1")
    world.gateway.script("pm-a1", Step(Unknown("500")))
    await world.collect()
    return world


async def refused(world: World) -> World:
    """A bill whose request the gateway calls invalid, and one whose card is stolen."""
    await world.seed("a1", "a2")
    world.gateway.script("pm-a1", Step(NotSent("no such currency", objection="refused_request")))
    world.gateway.script("pm-a2", Step(Declined("stolen_card", "hard")))
    assert (await world.collect(ref("a1"), ref("a2"))).note == {"declined": 1, "refused_request": 1}
    return world


async def test_request_that_was_refused_as_invalid_waits_for_a_person_and_is_in_no_doubt(
    world: World,
) -> None:
    """R25: tried every hour, it would be refused every hour."""
    await refused(world)
    bill = await world.bill("a1")
    assert (bill.state, bill.next_attempt_at) == ("open", None)
    assert (await world.state("a1"), len(world.gateway.calls)) == ("ACTIVE", 2)
    attempts = await world.rows("SELECT state, error FROM billing.attempts WHERE account_id = 'a1'")
    assert attempts == [("not_sent", "no such currency")]
    async with world.database.transaction() as connection:
        assert (await figures.calls_for_attention(connection)).attempts_for_a_human == 1
        assert (await figures.backlog(connection)).attempts_for_a_human == 1


async def test_held_bills_are_listed_and_tried_again_when_a_person_says_so(
    world: World,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """R25, R34: a stolen card is not tried again by a word."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    await refused(world)
    assert await run("retry", "--tenant", "acme", "--dry-run", "--json") == Exit.OK
    (held,) = json.loads(capsys.readouterr().out)
    assert (held["account_id"], held["collection_note"]) == ("a1", "refused_request")
    assert (await world.bill("a1")).next_attempt_at is None
    assert await run("retry", "a2", "--tenant", "acme") == Exit.OK
    assert (await world.bill("a1")).next_attempt_at is None
    assert await run("retry", "--tenant", "acme") == Exit.OK
    assert "are tried by the next" in capsys.readouterr().out
    assert (await world.bill("a2")).collection_note == "hard_decline"
    assert (await world.collect(ref("a1"))).note == {"paid": 1}
    assert {one for _, one in world.gateway.calls} == {key("a1"), key("a2")}


async def run(*arguments: str) -> int:
    return await asyncio.to_thread(cli.run, ["payments", *arguments])


async def carried_home(world: World) -> None:
    """What the relay and the collect worker do with the outbox."""
    for envelope in await left(world.database, PaymentReported):
        assert isinstance(envelope.data, PaymentReported)
        await world.handler().handle(world.work(envelope.data))


async def test_attempts_that_wait_for_a_person_are_listed(
    stuck: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """R24"""
    assert await run("unresolved", "--json") == Exit.FAILED
    (found,) = json.loads(capsys.readouterr().out)
    assert (found["attempt_key"], found["state"]) == (key(), "unknown")


async def test_doctor_names_the_gateway_of_attempts_that_this_one_cannot_resolve(
    world: World, database_url: str
) -> None:
    """R24: the workers leave them alone, so their accounts would stay PENDING for ever."""
    await world.seed("a1", "a2")
    world.gateway.script("pm-a1", Step(Unknown("500")))
    await world.collect(ref("a1"), ref("a2"))
    at_home = await check_database(database_url, gateway="memory")
    assert [one for one in at_home if one.check == "payment gateway"] == []
    (found,) = [
        one
        for one in await check_database(database_url, gateway="log")
        if one.check == "payment gateway"
    ]
    assert found.level == "warning"
    assert "1 open attempts were made through memory" in found.what
    assert "BILLFLEET_GATEWAY=memory" in found.remedy
    assert str(Runbook.ATTEMPTS_FOR_A_HUMAN) in found.remedy


async def test_operator_says_that_it_was_paid(stuck: World) -> None:
    """R24"""
    assert await run("resolve", key(), "--succeeded", "pi_9", "--yes") == Exit.OK
    await carried_home(stuck)
    assert await stuck.payments() == [("payment", "a1", 2985)]
    assert await run("unresolved") == Exit.OK


async def test_operator_says_that_it_was_declined(stuck: World) -> None:
    """R24"""
    assert await run("resolve", key(), "--declined", "lost_in_transit", "--yes") == Exit.OK
    await carried_home(stuck)
    assert (await stuck.bill()).collection_note == "declined"
    assert await stuck.state() == "PAST_DUE"


async def test_nothing_happens_without_yes(stuck: World) -> None:
    assert await run("resolve", key(), "--succeeded", "pi_9") == Exit.REFUSED
    assert await left(stuck.database, PaymentReported) == []


async def test_concluded_attempt_cannot_be_resolved(stuck: World) -> None:
    """R24: only open rows, and the state is read under lock."""
    await run("resolve", key(), "--succeeded", "pi_9", "--yes")
    await carried_home(stuck)
    assert await run("resolve", key(), "--declined", "x", "--yes") == Exit.REFUSED


async def test_attempt_in_a_workers_hands_cannot_be_resolved(stuck: World) -> None:
    """R24"""
    await stuck.execute("UPDATE billing.attempts SET leased_until = now() + interval '1 day'")
    assert await run("resolve", key(), "--succeeded", "pi_9", "--yes") == Exit.REFUSED


@pytest.mark.parametrize(
    "arguments",
    [
        (key(), "--yes"),
        (key(), "--succeeded", "a", "--declined", "b", "--yes"),
        (key(), "--declined", "with spaces", "--yes"),
        ("acme:nobody:2026-03-01:1", "--succeeded", "pi_9", "--yes"),
    ],
)
async def test_wrong_arguments_are_a_matter_of_usage(
    stuck: World, arguments: tuple[str, ...]
) -> None:
    assert await run("resolve", *arguments) == Exit.USAGE
    assert await left(stuck.database, PaymentReported) == []


async def test_attempts_of_an_account_are_shown(
    stuck: World, capsys: pytest.CaptureFixture[str]
) -> None:
    await stuck.pass_time(DAY_S)
    assert await run("show", "a1", "--tenant", "acme") == Exit.OK
    assert key() in capsys.readouterr().out
    assert await run("show", "a2", "--tenant", "acme") == Exit.USAGE
