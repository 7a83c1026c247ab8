"""`billfleet gateway` and `billfleet webhooks`, as a person types them."""

import asyncio
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from billfleet_db import Database
from billfleet_db.tenants import Tenant, ensure_tenant
from billfleet_gateway.credentials import read_key
from billfleet_ops.cli import run
from billfleet_ops.exits import Exit

Say = Callable[..., tuple[int, str, str]]
ACME = ("--tenant", "acme")


@pytest.fixture
def say(
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> Say:
    """Runs a command line against the test's database, which has a tenant acme."""
    monkeypatch.setenv("DATABASE_URL", database_url)
    monkeypatch.setenv("BILLFLEET_HOME", str(tmp_path / "home"))
    for name in ("GATEWAY_DATABASE_URL", "BILLFLEET_WEBHOOKS_TO_LOOPBACK"):
        monkeypatch.delenv(name, raising=False)

    async def seed() -> None:
        database = Database.connect(database_url, pool_size=1)
        async with database.transaction() as connection:
            await ensure_tenant(connection, Tenant("acme", "Acme", "EUR"))
        await database.close()

    asyncio.run(seed())

    def command(*arguments: str) -> tuple[int, str, str]:
        code = run(arguments)
        shown = capsys.readouterr()
        return code, shown.out, shown.err

    return command


def read(database_url: str, statement: str) -> list[dict[str, Any]]:
    async def look() -> list[dict[str, Any]]:
        database = Database.connect(database_url, pool_size=1)
        async with database.transaction() as connection:
            rows = [dict(row) for row in (await connection.execute(text(statement))).mappings()]
        await database.close()
        return rows

    return asyncio.run(look())


def test_key_is_shown_once_and_kept_only_as_a_hash(say: Say, database_url: str) -> None:
    code, out, _ = say("gateway", "keys", "create", "shop", *ACME)
    key = read_key(out.strip())
    assert (code, key is not None) == (Exit.OK, True)
    [row] = read(database_url, "SELECT * FROM fleet.api_keys")
    assert key is not None
    assert key.opens(row["secret_hash"])
    assert out.strip().rsplit("_", 1)[1] not in str(row)
    assert say("gateway", "keys", "create", "shop", *ACME)[0] == Exit.REFUSED


def test_key_is_made_for_known_tenants_and_scopes_only(say: Say) -> None:
    wrong = say("gateway", "keys", "create", "a", *ACME, "--scope", "everything")
    assert (wrong[0], "accounts:read" in wrong[2]) == (Exit.USAGE, True)
    assert say("gateway", "keys", "create", "a", "--tenant", "acne")[0] == Exit.USAGE


def test_two_keys_of_a_name_are_valid_while_it_is_rotated_and_never_three(say: Say) -> None:
    say("gateway", "keys", "create", "shop", *ACME, "--scope", "events:write")

    def states() -> list[str]:
        listed = json.loads(say("gateway", "keys", "list", *ACME, "--json")[1])
        assert {tuple(row["scopes"]) for row in listed} == {("events:write",)}
        return sorted(row["state"] for row in listed)

    assert say("gateway", "keys", "rotate", "shop", *ACME)[0] == Exit.OK
    assert states() == ["valid", "valid"]
    say("gateway", "keys", "rotate", "shop", *ACME)
    assert states() == ["expired", "valid", "valid"]
    code, out, _ = say("gateway", "keys", "revoke", "shop", *ACME)
    assert (code, out.count(",")) == (Exit.OK, 2)
    assert states() == ["revoked"] * 3
    assert say("gateway", "keys", "rotate", "shop", *ACME)[0] == Exit.REFUSED


def test_key_that_was_to_end_still_ends_after_it_was_rotated(say: Say) -> None:
    say("gateway", "keys", "create", "till", *ACME, "--days", "30")

    def ends() -> list[str]:
        listed = json.loads(say("gateway", "keys", "list", *ACME, "--json")[1])
        return sorted(row["until"] or "never" for row in listed)

    [end] = ends()
    assert say("gateway", "keys", "rotate", "till", *ACME)[0] == Exit.OK
    assert (len(ends()), ends()[-1]) == (2, end)
    assert say("gateway", "keys", "rotate", "till", *ACME, "--days", "60")[0] == Exit.OK
    assert end < ends()[-1] < "never"


def test_front_door_without_a_login_of_its_own_says_what_to_set(
    say: Say, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, _, said = say("gateway")
    assert (code, "GATEWAY_DATABASE_URL" in said) == (Exit.CONFIGURATION, True)


def test_front_door_refuses_a_login_that_sees_every_tenant(
    say: Say, monkeypatch: pytest.MonkeyPatch, database_url: str
) -> None:
    """R70."""
    monkeypatch.setenv("GATEWAY_DATABASE_URL", database_url)
    code, _, said = say("gateway")
    assert (code, "does not bind the role billfleet_app" in said) == (Exit.CONFIGURATION, True)


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1:9000/h", "https://10.0.0.1/", "https://[::1]/", "http://a.test/"]
)
def test_endpoint_that_leads_inwards_is_refused(say: Say, url: str) -> None:
    assert say("webhooks", "add", url, *ACME)[0] == Exit.REFUSED


def test_endpoint_is_added_tested_rotated_and_switched(say: Say, database_url: str) -> None:
    added = say(
        "webhooks", "add", "https://a.test/h", *ACME, "--event", "billfleet.billing.*", "--json"
    )
    endpoint = json.loads(added[1])["endpoint"]
    assert say("webhooks", "rotate-secret", endpoint, *ACME)[0] == Exit.OK
    secrets = read(database_url, "SELECT expires_at FROM fleet.webhook_secrets ORDER BY secret_id")
    assert [row["expires_at"] is None for row in secrets] == [False, True]
    code, out, _ = say("webhooks", "test", endpoint, *ACME)
    assert code == Exit.OK
    [row] = read(database_url, "SELECT route_name, tenant_id FROM fleet.outbox")
    assert row == {"route_name": "webhooks", "tenant_id": "acme"}
    delivery = out.split()[-1]
    code, out, _ = say("webhooks", "deliveries", *ACME, "--delivery", delivery, "--json")
    assert json.loads(out)["state"] == "pending"
    assert say("webhooks", "disable", endpoint, *ACME)[0] == Exit.OK
    assert "switched off by hand" in say("webhooks", "list", *ACME)[1]
    assert say("webhooks", "enable", endpoint, *ACME)[0] == Exit.OK
    [listed] = json.loads(say("webhooks", "list", *ACME, "--json")[1])
    assert (listed["disabled_at"], listed["event_types"]) == (None, ["billfleet.billing.*"])


def test_unknown_endpoints_and_events_are_named_as_such(say: Say) -> None:
    unknown = say("webhooks", "add", "https://a.test/", *ACME, "--event", "billfleet.weather.*")
    assert (unknown[0], "billfleet.billing.*" in unknown[2]) == (Exit.USAGE, True)
    assert say("webhooks", "test", "we_none", *ACME)[0] == Exit.USAGE
    assert say("webhooks", "deliveries", *ACME, "--delivery", "none")[0] == Exit.USAGE
