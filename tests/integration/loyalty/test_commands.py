"""The loyalty commands, as a person types them, on a database with history."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from billfleet_db import Database
from billfleet_ops.exits import Exit
from loyalty_world import Say, World

PROGRAMME = """
programme: club
name: Our club
brand: north
stores: [north-1]
version: 1
valid_from: 2026-01-01T00:00:00Z
rules:
  earning: {points: 1, per_minor: 100, currency: EUR}
  multipliers: [{name: gold, percent: 200, tiers: [gold]}]
  expiry: {months: 12}
rewards:
  - {reward: mug, name: A mug, points: 100, stock: 3}
"""


@pytest.fixture
def programme(tmp_path: Path) -> Path:
    path = tmp_path / "club.yaml"
    path.write_text(PROGRAMME)
    return path


def with_world(database_url: str, act: Callable[[World], object]) -> None:
    """Do something in a world of its own event loop, beside the commands."""

    async def play() -> None:
        database = Database.connect(database_url, pool_size=1)
        world = World(database)
        await act(world)  # type: ignore[misc] # coroutines, by their callers
        await database.close()

    asyncio.run(play())


def test_a_programme_is_set_once_and_a_changed_version_is_refused(
    say: Say, programme: Path, database_url: str
) -> None:
    with_world(database_url, lambda world: world.seed())
    set_it = ("loyalty", "programme", "set", str(programme), "--tenant", "acme")
    assert say(*set_it)[0] == Exit.REFUSED  # the world has a version 1 of its own
    programme.write_text(PROGRAMME.replace("version: 1", "version: 2"))
    code, out, _ = say(*set_it)
    assert (code, "Set version 2 of club" in out) == (Exit.OK, True)
    code, out, _ = say(*set_it)
    assert (code, "was set already" in out) == (Exit.OK, True)


def test_a_mistake_in_a_programme_is_named_with_its_place(say: Say, programme: Path) -> None:
    programme.write_text(PROGRAMME.replace("months: 12", "months: twelve"))
    code, _, err = say("loyalty", "programme", "try", str(programme), "--amount", "1")
    assert code == Exit.USAGE
    assert "rules.expiry.months" in " ".join(err.split())
    assert say("loyalty", "programme", "try", "nowhere.yaml", "--amount", "1")[0] != Exit.INTERNAL


def test_the_dry_run_says_which_rule_gives_what(say: Say, programme: Path) -> None:
    tried = ("loyalty", "programme", "try", str(programme), "--amount", "2990", "--tier", "gold")
    code, out, _ = say(*tried)
    assert code == Exit.OK
    assert "gold: x 200 %" in out
    assert "would earn 59 points" in out
    assert json.loads(say(*tried, "--json")[1])["points"] == 59


def test_a_card_and_its_transactions_are_explained(say: Say, database_url: str) -> None:
    async def live(world: World) -> None:
        await world.seed()
        bought = await world.buy(150)
        await world.redeem("mug")
        await world.cancel(bought, 6000)
        await world.handle(world.redeeming("mug"))

    with_world(database_url, live)
    assert say("loyalty", "card", "open", "new", "--tenant", "acme", "--programme", "club",
               "--customer", "c9")[0] == Exit.OK  # fmt: skip
    code, out, _ = say("loyalty", "card", "show", "card", "--tenant", "acme", "--json")
    seen = json.loads(out)
    assert code == Exit.OK
    assert (seen["balance"]["spendable"], seen["balance"]["debt"]) == (0, 10)
    assert [one["reason"] for one in seen["history"]].count("not_enough_points") == 1
    assert say("loyalty", "card", "show", "card", "--tenant", "acme")[0] == Exit.OK
    words = say("loyalty", "why", "t1", "--tenant", "acme")[1]
    assert "15000 at 1 per 100 EUR minor units, floor: 150" in " ".join(words.split())
    assert "cancelled by t3" in words
    words = " ".join(say("loyalty", "why", "t3", "--tenant", "acme")[1].split())
    assert "50 points of lot t1 were taken back" in words
    assert "10 points of lot t1 had been spent already" in words
    assert "refused: not_enough_points" in say("loyalty", "why", "t4", "--tenant", "acme")[1]
    assert say("loyalty", "why", "t99", "--tenant", "acme")[0] == Exit.USAGE
    assert say("loyalty", "card", "show", "nobody", "--tenant", "acme")[0] == Exit.USAGE
    assert say("loyalty", "card", "show", "card", "--tenant", "acne")[0] == Exit.USAGE


def test_verify_finds_what_somebody_changed_behind_our_back(
    say: Say, database_url: str, superuser_url: str
) -> None:
    """R60: the row and its movements must agree."""

    async def live(world: World) -> None:
        await world.seed()
        await world.buy(150)

    async def tamper(world: World) -> None:
        await world.execute("UPDATE loyalty.lots SET remaining = 140, spent = 10")
        await world.execute("UPDATE loyalty.cards SET debt_points = 5")

    with_world(database_url, live)
    code, out, _ = say("loyalty", "verify")
    assert (code, "nothing was found" in out) == (Exit.OK, True)
    with_world(superuser_url, tamper)
    code, out, _ = say("loyalty", "verify", "--tenant", "acme", "--json")
    assert code == Exit.FAILED
    assert [one["check"] for one in json.loads(out)["findings"]] == ["lots", "cards"]
    assert say("loyalty", "verify")[0] == Exit.FAILED


def test_the_expiry_sweep_is_a_command(say: Say, database_url: str) -> None:
    """R60."""
    with_world(database_url, lambda world: world.seed())
    assert json.loads(say("sweep", "loyalty-expiry", "--json")[1])["lots"] == 0
    assert say("sweep", "loyalty-expiry", "--dry-run")[0] == Exit.OK


def test_rebuild_view_says_what_differs_then_mends_it_and_ends_with_1_only_while_it_differs(
    say: Say,
    database_url: str,
    aws_environment: dict[str, str],
    deployed_stack: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """R69."""
    assert aws_environment
    monkeypatch.setenv("BILLFLEET_STACK", deployed_stack)

    async def live(world: World) -> None:
        await world.seed()
        await world.buy(10)

    with_world(database_url, live)
    for arguments, code, missing in (
        (("--dry-run",), Exit.FAILED, 1),
        (("--tenant", "acme"), Exit.OK, 1),
        (("--dry-run",), Exit.OK, 0),
    ):
        ended, out, _ = say("loyalty", "rebuild-view", *arguments, "--json")
        assert (ended, json.loads(out)["missing"]) == (code, missing)
    ended, out, _ = say("loyalty", "rebuild-view")
    assert ended == Exit.OK
    assert "transactions compared" in out
    assert say("loyalty", "rebuild-view", "--tenant", "nobody")[0] == Exit.USAGE
