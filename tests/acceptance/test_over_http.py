"""The services of `producers/http.md`, run as their readers would: they enqueue, hear the outcome
by webhook and by stream, and see the ledger change."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "producers" / "http.md"
BILLFLEET = [sys.executable, "-m", "billfleet_ops"]
SERVICES = {"js": ("node", "example.mjs", 2985), "python": (sys.executable, "example.py", 1999)}
PRESENT = [name for name, (runtime, _, _) in SERVICES.items() if shutil.which(runtime)]
DEADLINE_S = 60.0


def example(language: str) -> str:
    found = re.search(rf"^```{language}\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment that names nothing, so that everything is embedded."""
    foreign = ("AWS_", "BILLFLEET_", "DATABASE_", "MIGRATION_", "GATEWAY_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(foreign)}
    home = tmp_path_factory.mktemp("http") / "home"
    return {**kept, "BILLFLEET_HOME": str(home), "BILLFLEET_LOG_FORMAT": "json"}


@pytest.fixture(scope="module")
def front_door(environment: dict[str, str]) -> Iterator[str]:
    """The address of the front door of `billfleet up`."""
    fleet = subprocess.Popen(
        [*BILLFLEET, "up"],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert fleet.stdout is not None
    address = ""
    for line in fleet.stdout:
        said = re.search(r"The front door opens on (\S+);", line)
        address = said[1] if said else address
        if "The fleet runs" in line:
            break
    yield address
    fleet.terminate()
    fleet.communicate()


def billfleet(environment: dict[str, str], *arguments: str) -> str:
    done = subprocess.run(
        [*BILLFLEET, *arguments], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def tenant(
    front_door: str, environment: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> str:
    """A tenant, as an import makes it."""
    path = tmp_path_factory.mktemp("tenant") / "accounts.csv"
    later = datetime.now(UTC).date() + timedelta(days=30)
    path.write_text(f"account_id,amount,currency,rebilling_date\nfirst,1.00,EUR,{later}\n")
    billfleet(environment, "accounts", "import", str(path), "--tenant", "acme")
    return "acme"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.timeout(240)
@pytest.mark.parametrize("language", PRESENT)
def test_service_enqueues_is_told_the_outcome_and_sees_the_ledger_change(
    language: str, front_door: str, tenant: str, environment: dict[str, str], tmp_path: Path
) -> None:
    runtime, name, amount = SERVICES[language]
    port = free_port()
    key = billfleet(environment, "gateway", "keys", "create", language, "--tenant", tenant).strip()
    hooks = f"http://127.0.0.1:{port}/hooks"
    added = billfleet(environment, "webhooks", "add", hooks, "--tenant", tenant, "--json")
    secret = json.loads(added)["secret"]
    (tmp_path / name).write_text(example(language))
    service = subprocess.Popen(
        [runtime, name],
        cwd=tmp_path,
        env=environment
        | {
            "BILLFLEET_URL": front_door,
            "BILLFLEET_KEY": key,
            "WEBHOOK_SECRET": secret,
            "WEBHOOK_PORT": str(port),
            "PYTHONUNBUFFERED": "1",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert service.stdout is not None
    first = service.stdout.readline()
    billfleet(environment, "sweep", "rebill", "--tenant", tenant)
    rest, problems = service.communicate(timeout=DEADLINE_S)
    assert (first + rest).splitlines() == [
        "event: done",
        f"ledger: charge {amount}, payment {amount}",
    ], problems
    log = billfleet(environment, "webhooks", "deliveries", "--tenant", tenant, "--json")
    endpoint = json.loads(added)["endpoint"]
    told = {
        one["event_type"]: one["state"] for one in json.loads(log) if one["endpoint_id"] == endpoint
    }
    assert told["billfleet.billing.payment_succeeded.v1"] == "delivered"
