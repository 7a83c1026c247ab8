"""Requests per second of the front door, beside the same framework answering a constant.

Run it as `python bench/gateway.py [--seconds N]`; it needs `wrk`. It brings up an embedded
PostgreSQL, starts `billfleet gateway` and a FastAPI application that does nothing as processes of
their own on the same server, and lets wrk ask each in turn. The p99 is taken at half of the rate
that was reached: wrk pauses between requests for that. It asserts that every answer was good and
that every event that was accepted lies in the outbox.
"""

import argparse
import asyncio
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import text

from billfleet_db import Database, api_keys
from billfleet_db.api_keys import ApiKey
from billfleet_gateway import SCOPES, new_key
from billfleet_ops.csv_import import ImportRequest, import_accounts
from billfleet_ops.local.ports import choose
from billfleet_ops.local.stack import EmbeddedStack

TENANT = "bench"
ACCOUNTS = 1000
CONNECTIONS = 16
WRK = shutil.which("wrk") or "wrk"
EVENTS_PER_BATCH = 100
CONSTANT = """
import sys
from fastapi import FastAPI
import uvicorn
app = FastAPI()
@app.get("/")
async def nothing() -> dict[str, str]:
    return {"status": "ok"}
uvicorn.run(app, port=int(sys.argv[1]), log_config=None, access_log=False)
"""
HEAD = """
wrk.headers["Authorization"] = "Bearer %(key)s"
local pause_ms = %(pause_ms)d
function delay() return pause_ms end
function response(status) if status >= 300 then bad = (bad or 0) + 1 end end
"""
ACCOUNT = """
function request()
  return wrk.format("GET", string.format("/v1/accounts/NO-%%04d", math.random(1, %(accounts)d)))
end
"""
EVENTS = """
wrk.headers["Content-Type"] = "application/json"
math.randomseed(os.time() * 1000 + tonumber(tostring({}):sub(8), 16) %% 100000)
local run, sent = tostring(math.random(1, 2 ^ 31)), 0
function request()
  sent = sent + 1
  local events = {}
  for n = 1, %(batch)d do
    events[n] = string.format('{"name":"visit","event_id":"%%s-%%d-%%d",'
      .. '"occurred_at":"2026-03-01T12:00:00Z","properties":{"page":"/home","n":%%d}}',
      run, sent, n, n)
  end
  return wrk.format("POST", "/v1/events", nil, '{"events":[' .. table.concat(events, ",") .. "]}")
end
"""
NOTHING = 'function request() return wrk.format("GET", "/") end\n'


@dataclass(frozen=True)
class Figures:
    """What wrk saw."""

    name: str
    per_s: float
    p50_ms: float
    p99_ms: float


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=8)
    seconds = parser.parse_args().seconds
    with tempfile.TemporaryDirectory(prefix="bench-gateway-") as folder:
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "BILL"))}
        stack = EmbeddedStack(Path(folder) / "home", environ=environment, durable=True)
        with stack.running():
            environment |= stack.environment() | {
                "BILLFLEET_HTTP_REQUESTS_PER_S": "1000000",
                "BILLFLEET_HTTP_BURST": "1000000",
                "BILLFLEET_LOG_LEVEL": "error",
            }
            key = asyncio.run(seed(environment["DATABASE_URL"], Path(folder)))
            figures = measure(environment, Path(folder), key, seconds)
            accepted = asyncio.run(count_outbox(environment["DATABASE_URL"]))
    show(figures, accepted)


def measure(
    environment: Mapping[str, str], folder: Path, key: str, seconds: int
) -> dict[str, Figures]:
    """Ask each in turn, at full speed and at half of it."""
    constant, door = choose("bench constant"), choose("bench gateway")
    command = [sys.executable, "-m", "billfleet_ops", "gateway", "--port", str(door)]
    scripts = {
        "constant": (constant, NOTHING),
        "GET account": (door, ACCOUNT % {"accounts": ACCOUNTS}),
        "POST 100 events": (door, EVENTS % {"batch": EVENTS_PER_BATCH}),
    }
    found: dict[str, Figures] = {}
    with (
        serving([sys.executable, "-c", CONSTANT, str(constant)], environment, constant, "/"),
        serving(command, environment, door, "/readyz"),
    ):
        for name, (port, script) in scripts.items():
            path = folder / "script.lua"
            path.write_text(HEAD % {"key": key, "pause_ms": 0} + script)
            wrk(name, port, path, 2)
            full = wrk(name, port, path, seconds)
            pause_ms = round(CONNECTIONS / (full.per_s / 2) * 1000 - full.p50_ms / 2)
            path.write_text(HEAD % {"key": key, "pause_ms": max(1, pause_ms)} + script)
            half = wrk(f"{name}, half load", port, path, seconds)
            found |= {full.name: full, half.name: half}
    return found


def wrk(name: str, port: int, script: Path, seconds: int) -> Figures:
    """Run wrk once."""
    command = [WRK, "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--timeout", "20s"]
    command += ["--latency", "-s", str(script), f"http://127.0.0.1:{port}"]
    done = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert "Non-2xx" not in done, done
    assert "Socket errors" not in done, done
    per_s = re.search(r"Requests/sec:\s+([\d.]+)", done)
    assert per_s, done
    return Figures(name, float(per_s[1]), latency_ms(done, 50), latency_ms(done, 99))


def latency_ms(said: str, percent: int) -> float:
    """A line of wrk's distribution."""
    found = re.search(rf"^\s+{percent}%\s+([\d.]+)(us|ms|s)\s*$", said, re.MULTILINE)
    assert found, said
    return float(found[1]) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[found[2]]


@contextmanager
def serving(
    command: list[str], environment: Mapping[str, str], port: int, path: str
) -> Iterator[None]:
    """A server that answers, for the duration of the block."""
    server = subprocess.Popen(command, env=dict(environment), stderr=subprocess.DEVNULL)
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"http://127.0.0.1:{port}{path}").read()
                break
            except OSError:
                time.sleep(0.1)
        yield
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(30)


async def seed(url: str, folder: Path) -> str:
    """Accounts to ask for, and a key."""
    path = folder / "accounts.csv"
    rows = "".join(f"NO-{number:04d},29.85,EUR,2026-12-01\n" for number in range(1, ACCOUNTS + 1))
    path.write_text(f"account_id,amount,currency,rebilling_date\n{rows}")
    database = Database.connect(url, pool_size=1)
    await import_accounts(database, ImportRequest(path, TENANT))
    made = new_key()
    async with database.transaction() as connection:
        now = (await connection.execute(text("SELECT now()"))).scalar_one()
        key = ApiKey(made.key_id, TENANT, "bench", made.secret_hash, list(SCOPES), None, None)
        await api_keys.add(connection, key, now=now)
    await database.close()
    return made.shown


async def count_outbox(url: str) -> int:
    """How many events were accepted."""
    database = Database.connect(url, pool_size=1)
    async with database.transaction() as connection:
        found = (await connection.execute(text("SELECT count(*) FROM fleet.outbox"))).scalar_one()
    await database.close()
    return int(found)


def show(figures: Mapping[str, Figures], accepted: int) -> None:
    """Print the table, and the same as JSON."""
    constant = figures["constant"].per_s
    print(f"{'':28}{'requests/s':>12}{'of constant':>13}{'p50 ms':>9}{'p99 ms':>9}")
    for one in figures.values():
        share = one.per_s / constant
        print(f"{one.name:28}{one.per_s:12.0f}{share:13.3f}{one.p50_ms:9.1f}{one.p99_ms:9.1f}")
    per_s = figures["POST 100 events"].per_s * EVENTS_PER_BATCH
    print(f"events/s: {per_s:.0f}; accepted in all: {accepted}, each of them in the outbox")
    assert accepted % EVENTS_PER_BATCH == 0
    print(json.dumps({name: one.__dict__ for name, one in figures.items()}))


if __name__ == "__main__":
    main()
