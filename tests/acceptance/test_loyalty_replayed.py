"""Purchases of a file through SQS, from the command line, with workers killed on the way."""

import itertools
import json
import os
import random
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import IO

import pytest

CUSTOMERS = 60
KILLS = 2
DONE_BEFORE_A_KILL = 40
WORKER = ("worker", "run", "loyalty-points")

Process = subprocess.Popen[bytes]


@pytest.fixture
def purchases(tmp_path: Path) -> Path:
    """Few purchases of most customers, many of some."""
    chance = random.Random(7)
    lines = ["customer_id,date,amount_usd"]
    for customer in range(CUSTOMERS):
        lines += [
            f"{customer:05},1997-0{chance.randint(1, 9)}-11,{chance.randint(1, 90)}.50"
            for _ in range(min(12, int(chance.paretovariate(0.9))))
        ]
    path = tmp_path / "purchases.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def environment(
    database_url: str, aws_environment: dict[str, str], deployed_stack: str, tmp_path: Path
) -> dict[str, str]:
    """An installation whose dead workers' messages come back soon."""
    return {
        **os.environ,
        **aws_environment,
        "DATABASE_URL": database_url,
        "BILLFLEET_STACK": deployed_stack,
        "BILLFLEET_HOME": str(tmp_path / "home"),
        "BILLFLEET_LOG_FORMAT": "json",
        "BILLFLEET_LEASE_S": "3",
        "BILLFLEET_POLL_WAIT_S": "1",
    }


def start(environment: Mapping[str, str], out: int | IO[bytes], *arguments: str) -> Process:
    command = [sys.executable, "-m", "billfleet_ops", *arguments]
    return subprocess.Popen(command, env=dict(environment), stdout=out, stderr=subprocess.STDOUT)


def kill_at_work(environment: Mapping[str, str]) -> None:
    """Let a worker do a part of it, and kill it in the middle of the next."""
    worker = start(environment, subprocess.PIPE, *WORKER)
    assert worker.stdout is not None
    done = (line for line in worker.stdout if b'"event":"done"' in line)
    assert len(list(itertools.islice(done, DONE_BEFORE_A_KILL))) == DONE_BEFORE_A_KILL
    worker.kill()
    worker.stdout.close()
    worker.wait()


def test_all_lots_are_as_planned_and_all_of_it_again_changes_nothing(
    environment: dict[str, str], purchases: Path, tmp_path: Path
) -> None:
    """R58, R62, R65: killed workers lose nothing and do nothing twice, past every dedupe."""
    said, log = tmp_path / "said", tmp_path / "log"
    command = ("loyalty", "replay", str(purchases), "--tenant", "shop", "--times", "2", "--json")
    with said.open("wb") as words, log.open("wb") as lines:
        replay = start(environment, words, *command)
        for _ in range(KILLS):
            kill_at_work(environment)
        worker = start(environment, lines, *WORKER)
        code = replay.wait()
        worker.terminate()
        worker.wait()
    assert code == 0, said.read_text()
    replayed = json.loads(said.read_text())
    assert replayed["comparison"]["differences"] == []
    assert replayed["comparison"]["cards"] == CUSTOMERS
    assert replayed["is_right"] is True
    first, second = replayed["rounds"]
    assert first["digest"] == second["digest"]
    assert first["sent"] == second["sent"] > KILLS * DONE_BEFORE_A_KILL
    # The second time each message reached the handler, which found it written down.
    assert log.read_text().count("already_done") >= second["sent"]
