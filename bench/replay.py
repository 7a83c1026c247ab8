"""Replay beside the AWS CLI in a loop: messages a second out of a dead-letter queue.

    python bench/replay.py [--messages 10000] [--cli-messages 30]

Both move messages on the same embedded endpoint, which is not AWS: the ratio carries over better
than the figures. The CLI's loop is what runbooks on the web say: receive, send, delete. It needs
`aws` on the path and is left out without it.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from billfleet_ops.clients import Clients
from billfleet_ops.local.aws import LOCAL_CREDENTIALS, REGION, EmbeddedAws

BODY = json.dumps({"order": "x" * 480})
STACK = "bench"


def fill(aws: Clients, url: str, count: int) -> None:
    """Put messages in."""
    for start in range(0, count, 10):
        entries: Any = [
            {"Id": str(n), "MessageBody": BODY} for n in range(start, min(start + 10, count))
        ]
        aws.sqs.send_message_batch(QueueUrl=url, Entries=entries)


def depth(aws: Clients, url: str) -> int:
    """What waits."""
    found: Any = aws.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])
    return int(found["Attributes"]["ApproximateNumberOfMessages"])


def replay(dlq: str, queue: str, environment: dict[str, str]) -> None:
    """The command, as it is typed."""
    command = [sys.executable, "-m", "billfleet_ops", "replay-dlq", "replay"]
    options = ["--queue", dlq, "--to", queue, "--concurrency", "8", "--yes", "--json"]
    subprocess.run([*command, *options], check=True, env=environment, stdout=subprocess.DEVNULL)


def loop_of_the_cli(
    dlq: str, queue: str, environment: dict[str, str], endpoint: str, count: int
) -> None:
    """Receive, send, delete, one message at a time."""
    aws = ["aws", "--endpoint-url", endpoint, "--output", "json", "sqs"]
    for _ in range(count):
        got = subprocess.run(
            [*aws, "receive-message", "--queue-url", dlq],
            check=True,
            capture_output=True,
            env=environment,
        )
        [one] = json.loads(got.stdout)["Messages"]
        for arguments in (
            ["send-message", "--queue-url", queue, "--message-body", one["Body"]],
            ["delete-message", "--queue-url", dlq, "--receipt-handle", one["ReceiptHandle"]],
        ):
            subprocess.run([*aws, *arguments], check=True, capture_output=True, env=environment)


def main() -> None:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--messages", type=int, default=10_000)
    options.add_argument("--cli-messages", type=int, default=30)
    asked = options.parse_args()
    with tempfile.TemporaryDirectory(prefix="bench-replay-") as home:
        server = EmbeddedAws(Path(home), keep_state=False)
        server.start()
        try:
            measure(server, Path(home), asked.messages, asked.cli_messages)
        finally:
            server.stop()


def measure(server: EmbeddedAws, home: Path, messages: int, cli_messages: int) -> None:
    """Both ways, one after the other."""
    key_id, secret = LOCAL_CREDENTIALS.values()
    aws = Clients(region=REGION, endpoint_url=server.endpoint_url, credentials=(key_id, secret))
    environment = {**os.environ, **server.environment(), "BILLFLEET_HOME": str(home)}
    environment["BILLFLEET_STACK"] = STACK
    urls = [aws.sqs.create_queue(QueueName=f"{STACK}-{n}")["QueueUrl"] for n in ("q", "q-dlq")]
    queue, dlq = urls
    fill(aws, dlq, messages)
    started_s = time.monotonic()
    replay(dlq, queue, environment)
    took_s = time.monotonic() - started_s
    assert depth(aws, queue) == messages
    print(f"replay-dlq: {messages} messages in {took_s:.1f} s: {messages / took_s:.0f} a second")
    if shutil.which("aws") is None:
        print("aws CLI: not installed")
        return
    fill(aws, dlq, cli_messages)
    started_s = time.monotonic()
    loop_of_the_cli(dlq, queue, environment, server.endpoint_url, cli_messages)
    cli_s = time.monotonic() - started_s
    print(f"aws CLI in a loop: {cli_messages / cli_s:.2f} a second")


if __name__ == "__main__":
    main()
