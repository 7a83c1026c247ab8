"""`billfleet ledger refund`, as an operator writes down what the gateway gave back."""

import asyncio

import pytest

from billfleet_db.verify import verify
from billfleet_ops import cli
from billfleet_ops.exits import Exit
from collect_world import World


@pytest.fixture
async def paid(world: World, database_url: str, monkeypatch: pytest.MonkeyPatch) -> World:
    """An account that has paid 29.85 USD for March."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    await world.seed("a1")
    assert (await world.collect()).note == {"paid": 1}
    return world


async def refund(*changes: str, yes: bool = True) -> int:
    given = {"--period": "2026-03-01", "--amount": "20.00", "--key": "re_1", "--reason": "twice"}
    given |= dict(zip(changes[::2], changes[1::2], strict=True))
    options = [word for pair in given.items() for word in pair]
    command = ["ledger", "refund", "a1", "--tenant", "acme", *options, *(["--yes"] if yes else [])]
    return await asyncio.to_thread(cli.run, command)


async def refunds(world: World) -> list[tuple[object, ...]]:
    found = await world.rows(
        "SELECT transfer_key, amount_minor, reason FROM billing.transfers WHERE kind = 'refund'"
    )
    return list(found)


async def test_refund_is_written_down_once_however_often_it_is_said(
    paid: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """R41, R65"""
    assert await refund() == Exit.OK
    assert await refund() == Exit.OK
    assert "was written down before" in capsys.readouterr().out
    assert await refunds(paid) == [("refund:re_1", 2000, "twice")]
    async with paid.database.transaction("REPEATABLE READ") as connection:
        found = {finding.check for finding in await verify(connection, "acme")}
    # The accounts of these tests were never rebilled, so their next date is what it was.
    assert found <= {"next_date"}


async def test_no_more_is_given_back_than_was_captured(
    paid: World, capsys: pytest.CaptureFixture[str]
) -> None:
    """R41"""
    assert await refund() == Exit.OK
    assert await refund("--key", "re_2") == Exit.REFUSED
    assert "more than the 985 that account a1 has left" in capsys.readouterr().err
    assert await refund("--amount", "9.00") == Exit.REFUSED
    assert len(await refunds(paid)) == 1


async def test_nothing_is_written_without_a_yes_or_for_a_period_that_was_not_billed(
    paid: World, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await refund(yes=False) == Exit.REFUSED
    assert "29.85 USD of what was paid is left" in capsys.readouterr().err
    assert await refund("--period", "2026-04-01") == Exit.USAGE
    assert await refund("--amount", "1.005") == Exit.USAGE
    assert await refund("--amount", "-1") == Exit.USAGE
    assert await refunds(paid) == []
