"""The endpoints that every contestant meets: fauxqs for queues, and one for DynamoDB.

`consume.py` and `produce.py` open one `Arena` a run. Both servers are on loopback, below the
ephemeral ports, and end with this process. Filling a queue and asking its depth go over the
server's stdin, past HTTP. It knows no contestant.
"""

import json
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from billfleet_ops.clients import Clients
from billfleet_ops.local import ports
from billfleet_ops.local.aws import LOCAL_CREDENTIALS, REGION, EmbeddedAws
from peer_homes import PEERS, NodeHome
from table_endpoint import QuickTables

Tables = Literal["quick", "ministack"]
STACK = "bench"
VISIBILITY_S = 30


@dataclass(frozen=True)
class Stored:
    """A message as the queue stores it."""

    body: str
    attributes: Mapping[str, Any]
    is_hidden: bool = False

    def as_line(self) -> str:
        """The form in which `Arena.fill` hands it over."""
        return json.dumps({"body": self.body, "attributes": dict(self.attributes)})


@dataclass(frozen=True)
class Depth:
    """How many messages a queue holds."""

    visible: int
    hidden: int

    @property
    def total(self) -> int:
        """All that are still there."""
        return self.visible + self.hidden


class Arena:
    """The running endpoints."""

    def __init__(
        self, server: "subprocess.Popen[str]", port: int, dynamodb: EmbeddedAws | QuickTables
    ) -> None:
        self._server = server
        self.sqs_url = f"http://127.0.0.1:{port}"
        self.port = port
        self.dynamodb = dynamodb
        self.pids = {"sqs": server.pid}

    def environment(self) -> dict[str, str]:
        """What a contestant needs to find both, as every AWS tool reads it."""
        return {
            **LOCAL_CREDENTIALS,
            "AWS_REGION": REGION,
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL_SQS": self.sqs_url,
            "AWS_ENDPOINT_URL_DYNAMODB": self.dynamodb.endpoint_url,
            "AWS_EC2_METADATA_DISABLED": "true",
            "NO_PROXY": "*",
            "BENCH_SQS_URL": self.sqs_url,
            "BENCH_STACK": STACK,
        }

    def create_queue(self, name: str, *, visibility_s: int = VISIBILITY_S) -> str:
        """An empty queue under this name, whatever was there before; returns its URL."""
        self._ask("drop", name=name)
        attributes = {"VisibilityTimeout": str(visibility_s), "ReceiveMessageWaitTimeSeconds": "0"}
        return str(self._ask("create", name=name, attributes=attributes)["url"])

    def create_table(self, name: str, key: str) -> None:
        """An empty DynamoDB table."""
        clients = self.clients()
        tables = clients.dynamodb.list_tables()["TableNames"]
        if name in tables:
            clients.dynamodb.delete_table(TableName=name)
        clients.dynamodb.create_table(
            TableName=name,
            AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"}],
            KeySchema=[{"AttributeName": key, "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
        )

    def clients(self) -> Clients:
        """The SDK's clients for DynamoDB's endpoint."""
        key_id, secret = LOCAL_CREDENTIALS.values()
        return Clients(
            region=REGION,
            endpoint_url=self.dynamodb.endpoint_url,
            credentials=(key_id, secret),
        )

    def fill(self, name: str, messages: Iterable[Stored]) -> int:
        """Put messages into a queue."""
        with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as lines:
            lines.writelines(f"{message.as_line()}\n" for message in messages)
            lines.flush()
            return int(self._ask("fill", name=name, path=lines.name)["filled"])

    def depth(self, name: str) -> Depth:
        """How many messages the queue holds now."""
        answer = self._ask("depth", name=name)
        return Depth(int(answer["visible"]) + int(answer["delayed"]), int(answer["hidden"]))

    def left(self, name: str) -> list[Stored]:
        """All messages that are still in the queue."""
        messages = self._ask("left", name=name)["messages"]
        return [Stored(one["body"], one["attributes"], one["hidden"]) for one in messages]

    def calls(self) -> dict[str, int]:
        """Calls to the queue endpoint since the last question, by operation."""
        counted = self._ask("calls")["calls"]
        return {target.rpartition(".")[2]: count for target, count in counted.items()}

    def _ask(self, command: str, **arguments: object) -> dict[str, Any]:
        assert self._server.stdin is not None
        assert self._server.stdout is not None
        self._server.stdin.write(json.dumps({"do": command, **arguments}) + "\n")
        self._server.stdin.flush()
        answer: dict[str, Any] = json.loads(self._server.stdout.readline())
        assert "error" not in answer, answer
        return answer


@contextmanager
def open_arena(node: NodeHome, tables: Tables = "quick") -> Iterator[Arena]:
    """Start both endpoints; stop them at the end."""
    port = ports.choose("billfleet bench queue endpoint")
    with tempfile.TemporaryDirectory(prefix="billfleet-bench-") as folder:
        dynamodb: EmbeddedAws | QuickTables
        if tables == "quick":
            dynamodb = QuickTables(node)
        else:
            dynamodb = EmbeddedAws(Path(folder), keep_state=False)
        command = [str(node.binary), str(PEERS / "queue_endpoint.mjs"), str(node.fauxqs), str(port)]
        server = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        try:
            dynamodb.start()
            assert server.stdout is not None
            assert json.loads(server.stdout.readline())["ready"]
            yield Arena(server, port, dynamodb)
        finally:
            if server.stdin is not None:
                server.stdin.close()
            server.wait(timeout=10)
            dynamodb.stop()
