"""The export commands, as a person types them: ask, follow, fetch, check, stop, revoke."""

import asyncio
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from billfleet_contracts import ExportRequested, decode, read_link
from billfleet_db import Database
from billfleet_ops.cli import run
from billfleet_ops.clients import Clients
from billfleet_ops.exits import Exit
from billfleet_workers.adapters.aws_client import AwsClients
from billfleet_workers.adapters.s3_objects import S3ObjectStore
from billfleet_workers.runtime.clock import SystemClock
from billfleet_workers.runtime.handling import Work
from export_world import ExportWorld

SECRET = "a secret of some length"
Say = Callable[..., tuple[int, str, str]]
Play = Callable[[Callable[[ExportWorld], Coroutine[Any, Any, None]]], None]


@pytest.fixture
def say(
    database_url: str,
    stack_name: str,
    aws_environment: dict[str, str],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> Say:
    """Runs a command line against the test's database and bucket."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("BILLFLEET_STACK", stack_name)
    monkeypatch.setenv("BILLFLEET_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("BILLFLEET_LINK_SECRET", SECRET)
    monkeypatch.chdir(tmp_path)

    def command(*arguments: str) -> tuple[int, str, str]:
        code = run(arguments)
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return command


@pytest.fixture
def play(
    database_url: str,
    superuser_url: str,
    aws: Clients,
    stack_name: str,
    aws_environment: dict[str, str],
) -> Play:
    """Does something in a seeded world whose files lie in S3."""
    aws.s3.create_bucket(Bucket=f"{stack_name}-files")
    endpoint = aws_environment["AWS_ENDPOINT_URL"]

    async def act(part: Callable[[ExportWorld], Coroutine[Any, Any, None]]) -> None:
        database = Database.connect(database_url, pool_size=2)
        superuser = Database.connect(superuser_url, pool_size=1)
        clients = AwsClients(region=aws_environment["AWS_REGION"], endpoint_url=endpoint)
        store = await S3ObjectStore.open(clients, bucket=f"{stack_name}-files")
        try:
            await part(ExportWorld(database, superuser, store))
        finally:
            await store.close()
            await database.close()
            await superuser.close()

    def played(part: Callable[[ExportWorld], Coroutine[Any, Any, None]]) -> None:
        asyncio.run(act(part))

    played(lambda world: world.seed())
    return played


async def work_off(world: ExportWorld) -> None:
    """Handle every request that waits in the outbox, as relay, queue and worker would."""
    handler = world.make_handler(clock=SystemClock())
    async with world.superuser.transaction() as connection:
        bodies = (await connection.execute(text("SELECT body FROM fleet.outbox"))).scalars().all()
    for body in bodies:
        envelope = decode(body)
        if isinstance(envelope.data, ExportRequested):
            await handler.handle(Work(envelope, "m", 1, envelope.time, "token"))


def asked(say: Say, *arguments: str) -> str:
    code, out, _ = say("export", "request", *arguments, "--tenant", "acme", "--json")
    assert code == Exit.OK
    return str(json.loads(out)["export_id"])


def test_an_export_is_asked_for_made_downloaded_checked_and_revoked(
    say: Say, play: Play, tmp_path: Path
) -> None:
    """R84, R86."""
    play(lambda world: world.post(3))
    export_id = asked(say, "ledger", "--filter", "kind=payment", "--column", "kind,amount_minor")
    at = ("--tenant", "acme")
    assert json.loads(say("export", "show", export_id, *at, "--json")[1])["state"] == "requested"
    assert say("export", "download", export_id, *at)[0] == Exit.REFUSED
    play(work_off)
    code, out, _ = say("export", "show", export_id, *at, "--json")
    shown = json.loads(out)
    assert (code, shown["state"], shown["rows_written"]) == (Exit.OK, "ready", 3)
    token = shown["link"].rpartition("/f/")[2]
    assert read_link(token, [SECRET], SystemClock().now(), kind="file").subject == export_id
    assert "acme" in say("export", "list", *at)[1]
    assert say("export", "download", export_id, *at, "--to", "mine.csv")[0] == Exit.OK
    assert (tmp_path / "mine.csv").read_text() == (
        "kind,amount_minor\npayment,101\npayment,102\npayment,103\n"
    )
    assert say("export", "verify", export_id, *at)[0] == Exit.OK
    assert say("export", "verify", export_id, *at, "mine.csv")[0] == Exit.OK
    (tmp_path / "mine.csv").write_text("kind,amount_minor\n")
    code, _, err = say("export", "verify", export_id, *at, "mine.csv")
    assert (code, "the manifest says" in err) == (Exit.FAILED, True)
    assert say("export", "revoke", export_id, *at, "--reason", "a mistake")[0] == Exit.OK
    assert say("export", "revoke", export_id, *at, "--reason", "again")[0] == Exit.REFUSED
    code, _, err = say("export", "download", export_id, *at)
    assert (code, "revoked" in err) == (Exit.REFUSED, True)


def test_object_that_somebody_changed_is_found_and_never_kept(
    say: Say, play: Play, aws: Clients, stack_name: str, tmp_path: Path
) -> None:
    """R86."""
    export_id = asked(say, "accounts")
    play(work_off)
    bucket = f"{stack_name}-files"
    stored, manifest = aws.s3.list_objects_v2(Bucket=bucket)["Contents"]
    assert manifest["Key"] == f"{stored['Key']}.manifest.json"
    at = (export_id, "--tenant", "acme")
    for body, said in ((b"{}", "is another one"), (b"no", "can't be read")):
        aws.s3.put_object(Bucket=bucket, Key=manifest["Key"], Body=body)
        code, _, err = say("export", "verify", *at)
        assert (code, said in err) == (Exit.FAILED, True)
    aws.s3.put_object(Bucket=bucket, Key=stored["Key"], Body=b"other rows")
    assert say("export", "verify", *at)[0] == Exit.FAILED
    assert say("export", "download", *at, "--to", "x.csv")[0] == Exit.FAILED
    assert not list(tmp_path.glob("x.csv*"))
    aws.s3.delete_object(Bucket=bucket, Key=stored["Key"])
    code, _, err = say("export", "verify", *at)
    assert (code, "not in the object store" in err) == (Exit.FAILED, True)


def test_the_same_id_asks_once(say: Say, play: Play) -> None:
    """R83."""
    export_id = asked(say, "accounts")
    code, _, err = say(
        "export", "request", "accounts", "--tenant", "acme", "--id", export_id, "--json"
    )
    assert (code, "asked for before" in err) == (Exit.OK, True)
    play(work_off)


@pytest.mark.usefixtures("play")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("nonsense",), "no data set 'nonsense'"),
        (("ledger", "--format", "pdf"), "not as pdf"),
        (("ledger", "--column", "colour"), "no column 'colour'"),
        (("ledger", "--filter", "colour=red"), "no filter 'colour'"),
        (("ledger", "--filter", "kind"), "not NAME=VALUE"),
        (("statement", "--format", "pdf"), "needs the filter"),
        (("ledger", "--contact", "a", "--customer", "b"), "not both"),
    ],
)
def test_a_mistake_is_told_at_once_and_nothing_is_sent(
    say: Say, arguments: tuple[str, ...], said: str
) -> None:
    code, _, err = say("export", "request", *arguments, "--tenant", "acme")
    assert (code, said in " ".join(err.split())) == (Exit.USAGE, True), err
    assert json.loads(say("export", "list", "--json")[1]) == []


def test_an_export_that_waits_can_be_stopped_and_one_that_ended_cannot(
    say: Say, play: Play
) -> None:
    export_id = asked(say, "accounts")
    assert say("export", "cancel", export_id, "--tenant", "acme")[0] == Exit.OK
    play(work_off)
    out = say("export", "show", export_id, "--tenant", "acme")[1]
    assert "cancelled" in out
    assert say("export", "cancel", export_id, "--tenant", "acme")[0] == Exit.REFUSED


@pytest.mark.usefixtures("play")
def test_data_sets_are_shown_with_columns_filters_and_formats(say: Say) -> None:
    assert "loyalty_transactions" in say("export", "datasets")[1]
    code, out, _ = say("export", "datasets", "ledger")
    assert (code, "transfer_id" in out, "write_off" in out) == (Exit.OK, True, True)
    assert say("export", "datasets", "nonsense")[0] == Exit.USAGE
    assert json.loads(say("export", "datasets", "--json")[1])[0]["dataset"] == "accounts"
