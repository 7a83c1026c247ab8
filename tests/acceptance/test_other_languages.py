"""The examples of `producers/other-languages.md`, run as a reader would, where their runtime is."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from billfleet_contracts import EventTracked, decode
from billfleet_ops.clients import Clients

PAGE = Path(__file__).parents[2] / "producers" / "other-languages.md"
NODE_PACKAGE = "@aws-sdk/client-sqs"


def example(language: str) -> str:
    found = re.search(rf"^```{language}\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def run_shell(folder: Path, environment: dict[str, str]) -> None:
    done = subprocess.run(
        ["bash", "-euo", "pipefail", "-c", example("bash")],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def run_node(folder: Path, environment: dict[str, str]) -> None:
    (folder / "package.json").write_text('{"type": "module", "private": true}')
    (folder / "example.js").write_text(example("js"))
    install = ["npm", "install", "--silent", "--no-audit", "--no-fund", NODE_PACKAGE]
    subprocess.run(install, cwd=folder, env=environment, check=True, capture_output=True)
    done = subprocess.run(
        ["node", "example.js"],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "3 enqueued\n"


RUNTIMES: dict[str, tuple[Callable[[Path, dict[str, str]], None], tuple[str, ...], int]] = {
    "shell": (run_shell, ("bash", "aws"), 1),
    "node": (run_node, ("node", "npm"), 3),
}
PRESENT = [name for name, (_, needs, _) in RUNTIMES.items() if all(map(shutil.which, needs))]


@pytest.mark.parametrize("runtime", PRESENT)
def test_the_example_enqueues_what_the_fleet_can_read(
    runtime: str,
    aws: Clients,
    aws_environment: dict[str, str],
    queues: dict[str, str],
    stack_name: str,
    tmp_path: Path,
) -> None:
    run, _, count = RUNTIMES[runtime]
    run(tmp_path, {**os.environ, **aws_environment, "BILLFLEET_STACK": stack_name})
    answer = aws.sqs.receive_message(QueueUrl=queues["analytics"], MaxNumberOfMessages=10)
    envelopes = [decode(message["Body"]) for message in answer["Messages"]]
    assert len(envelopes) == count
    assert all(isinstance(envelope.data, EventTracked) for envelope in envelopes)


def test_every_example_of_the_page_is_one_that_is_run() -> None:
    languages = set(re.findall(r"^```(\w+)$", PAGE.read_text(), re.MULTILINE))
    assert languages == {"bash", "js"}
