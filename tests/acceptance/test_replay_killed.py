"""A replay of a thousand messages is killed five times; each arrives, and its effect is there once.

Real processes of the installed command, ended with SIGKILL in the middle of their work, on the
emulator. What then stands in the queue is worked off as the fleet does it, and handler calls are
counted. BILLFLEET_REPLAY_MESSAGES=10000 makes it ten thousand (`make bench-replay-killed`).
"""

import asyncio
import json
import os
import random
import signal
import sys
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from billfleet_contracts import RebillAccounts
from billfleet_ops.clients import Clients
from billfleet_ops.local.aws import EmbeddedAws
from billfleet_ops.replay.scan import HIDDEN_S_MIN
from billfleet_workers.adapters.aws_client import AwsClients
from billfleet_workers.adapters.dynamodb import DynamoDedupeStore
from billfleet_workers.adapters.memory_metrics import MemoryMetrics
from billfleet_workers.adapters.sqs import SqsQueue
from billfleet_workers.runtime.clock import SystemClock
from billfleet_workers.runtime.concurrency import Concurrency
from billfleet_workers.runtime.delivery import deliver
from billfleet_workers.runtime.desk import Desk
from billfleet_workers.runtime.gate import Gate
from billfleet_workers.runtime.heartbeat import Heartbeat
from billfleet_workers.runtime.policy import DeliveryPolicy
from billfleet_workers.runtime.tally import Tally
from delivery_room import ScriptedHandler
from replay_room import body_of, buried

MESSAGES = int(os.environ.get("BILLFLEET_REPLAY_MESSAGES", "1000"))
PATIENCE = max(1, MESSAGES // 2000)
"""More messages are hidden for longer after a kill, and take longer to be worked off."""
KILLS = 5
SEED = 20260301


def bury_all(aws: Clients, url: str) -> None:
    for start in range(0, MESSAGES, 10):
        entries: Any = []
        for n in range(start, start + 10):
            copy = buried(body_of(f"A-{n}"), original_message_id=f"first-{n}")
            attributes = {
                name: {"DataType": "String", "StringValue": one.text}
                for name, one in copy.attributes.items()
            }
            entries.append(
                {"Id": str(n), "MessageBody": copy.body, "MessageAttributes": attributes}
            )
        aws.sqs.send_message_batch(QueueUrl=url, Entries=entries)


def depth(aws: Clients, url: str) -> int:
    found: Any = aws.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
    return sum(int(found[name]) for name in names)


async def until_more_than(
    before: int, aws: Clients, url: str, process: asyncio.subprocess.Process
) -> None:
    """Return when the run has brought something home, or has ended."""
    for _ in range(3000):
        if depth(aws, url) != before or process.returncode is not None:
            return
        await asyncio.sleep(0.02)


async def start(environment: Mapping[str, str], log: Path) -> asyncio.subprocess.Process:
    with log.open("ab") as to:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            *("-m", "billfleet_ops", "replay-dlq", "replay", "--queue", "rebill", "--yes"),
            *("--rate", "300", "--json"),
            env=dict(environment),
            stdout=to,
            stderr=to,
        )


async def work_off(environment: Mapping[str, str], stack: str) -> tuple[Counter[str], int]:
    """What a worker does of it all: how often each work was done, and how many were received."""
    clock = SystemClock()
    clients = AwsClients(
        region=environment["AWS_REGION"], endpoint_url=environment["AWS_ENDPOINT_URL"]
    )
    queue = await SqsQueue.open(clients, stack=stack, name="rebill")
    dedupe = await DynamoDedupeStore.open(clients, stack=stack, clock=clock)
    handler, metrics = ScriptedHandler(), MemoryMetrics()
    policy = DeliveryPolicy(
        visibility_timeout_s=60, lease_s=60, deadline_s=60, attempts_max=8, retain_s=86400
    )
    desk = Desk(
        queue=queue,
        dedupe=dedupe,
        handlers={RebillAccounts.TYPE: handler},
        policy=policy,
        clock=clock,
        metrics=metrics,
        gate=Gate({}, clock),
        heartbeat=Heartbeat(queue, dedupe, policy, clock, metrics),
        tally=Tally(),
        draining=asyncio.Event(),
        concurrency=Concurrency(20, 20),
    )
    received = 0
    while batch := await queue.receive(limit=10, wait_s=0, visibility_timeout_s=60):
        received += len(batch)
        await deliver(batch, desk)
    await queue.close()
    await dedupe.close()
    return Counter(work.envelope.dedupekey for work in handler.works), received


@pytest.mark.timeout(HIDDEN_S_MIN * 12 * PATIENCE)
async def test_replay_that_is_killed_five_times_brings_each_message_home_once(
    deployed_stack: str,
    aws: Clients,
    embedded_aws: EmbeddedAws,
    aws_environment: dict[str, str],
    tmp_path: Path,
) -> None:
    names = {name: f"{deployed_stack}-{name}" for name in ("rebill", "rebill-dlq")}
    urls = {k: aws.sqs.get_queue_url(QueueName=name)["QueueUrl"] for k, name in names.items()}
    await asyncio.to_thread(bury_all, aws, urls["rebill-dlq"])
    chance, log = random.Random(SEED), tmp_path / "log"
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
        **embedded_aws.environment(),
        "BILLFLEET_STACK": deployed_stack,
        "BILLFLEET_HOME": str(tmp_path / "home"),
    }
    killed_at_work = 0
    for _ in range(KILLS):
        before = depth(aws, urls["rebill"])
        process = await start(environment, log)
        await until_more_than(before, aws, urls["rebill"], process)
        await asyncio.sleep(chance.uniform(0.0, 0.3))
        if process.returncode is None:
            process.send_signal(signal.SIGKILL)
            killed_at_work += depth(aws, urls["rebill-dlq"]) > 0
        await process.wait()
    # The endpoint shows what the dead held when its time has come; then the last run finishes.
    async with asyncio.timeout(HIDDEN_S_MIN * 8 * PATIENCE):
        while depth(aws, urls["rebill-dlq"]):
            process = await start(environment, log)
            assert await process.wait() == 0, log.read_text()[-2000:]
            await asyncio.sleep(1)
    assert killed_at_work >= KILLS - 1
    assert "Traceback" not in log.read_text()
    done, received = await work_off(aws_environment, deployed_stack)
    assert done == {f"A-{n}": 1 for n in range(MESSAGES)}
    assert depth(aws, urls["rebill"]) == depth(aws, urls["rebill-dlq"]) == 0
    # Twice stood only what was on its way at the very moment of a kill.
    [journal] = (tmp_path / "home" / "replay").glob("*.jsonl")
    lines = [json.loads(line) for line in journal.read_text().splitlines() if line]
    begun = Counter(line["message_id"] for line in lines if line["step"] == "sending")
    assert received - MESSAGES <= begun.total() - len(begun) <= KILLS * 4 * 10
