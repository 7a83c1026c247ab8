"""The mail commands, as a person types them, on a database with mails."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from billfleet_db import Database
from billfleet_ops.cli import run
from billfleet_ops.exits import Exit
from mail_world import MailWorld

Say = Callable[..., tuple[int, str, str]]


@pytest.fixture
def say(
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> Say:
    """Runs a command line against the test's database."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("BILLFLEET_HOME", str(tmp_path / "home"))

    def command(*arguments: str) -> tuple[int, str, str]:
        code = run(["mail", *arguments])
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return command


def in_world(database_url: str, act: Callable[[MailWorld], Awaitable[object]]) -> None:
    """Do something in a world of its own event loop, beside the commands."""

    async def play() -> None:
        database = Database.connect(database_url, pool_size=4)
        await act(MailWorld(database))
        await database.close()

    asyncio.run(play())


async def _two_requests(world: MailWorld) -> None:
    await world.open_account()
    await world.ask("r1")
    await world.relay()
    await world.ask("r2")


async def _one_without_an_address(world: MailWorld) -> None:
    await world.open_account(email=None)
    await world.ask("r1")
    await world.relay()


def test_mails_and_requests_are_listed_with_what_became_of_them(
    say: Say, database_url: str
) -> None:
    in_world(database_url, _two_requests)
    code, out, _ = say("list", "--json")
    [mail] = json.loads(out)
    assert (code, mail["state"], mail["subject"]) == (Exit.OK, "sent", "Your open bills: $59.70")
    _, table, _ = say("list")
    assert "ada@customers.example" in table
    _, requests, _ = say("requests")
    assert "duplicate: the last mail went at 2026-03-02 09:30:00 UTC" in requests
    assert "sent at 2026-03-02 09:30:00 UTC" in requests


def test_a_mail_that_was_refused_says_why_and_an_unknown_one_is_not_guessed(
    say: Say, database_url: str
) -> None:
    in_world(database_url, _one_without_an_address)
    code, out, _ = say("show", "last")
    assert code == Exit.OK
    assert "refused: no_address" in out
    assert "It was not sent." in out
    code, _, problem = say("show", "ffffffff")
    assert code == Exit.USAGE
    assert "No mail begins with 'ffffffff'" in problem
    code, _, problem = say("play-in", "bounce", "last")
    assert code == Exit.REFUSED
    assert "was not sent" in problem


def test_an_address_is_suppressed_and_lifted_for_one_tenant(say: Say, database_url: str) -> None:
    in_world(database_url, _one_without_an_address)
    assert say("suppress", "Ada@Customers.example", "--tenant", "acme")[1] == "Suppressed.\n"
    assert "reason stays" in say("suppress", "ada@customers.example", "--tenant", "acme")[1]
    assert "ada@customers.example" in say("suppressed")[1]
    assert say("lift", "ada@customers.example", "--tenant", "acme")[0] == Exit.OK
    assert say("lift", "ada@customers.example", "--tenant", "acme")[0] == Exit.FAILED
    code, _, problem = say("suppress", "a@b.example", "--tenant", "acne")
    assert code == Exit.USAGE
    assert "Did you mean acme?" in problem


def test_a_tenant_chooses_facts_and_names_its_people(say: Say, database_url: str) -> None:
    in_world(database_url, _one_without_an_address)
    assert "receipt         as the house does" in say("policy", "--tenant", "acme")[1]
    assert "receipt         on" in say("policy", "--tenant", "acme", "--on", "receipt")[1]
    assert say("policy", "--tenant", "acme", "--on", "weather")[0] == Exit.USAGE
    person = ("--name", "Grace Hopper", "--email", "grace@acme.example")
    assert say("contact", "boss", "--tenant", "acme", *person)[0] == Exit.OK
