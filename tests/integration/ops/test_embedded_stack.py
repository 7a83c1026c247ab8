"""The embedded stack as a whole: one command's worth of servers, and what a kill -9 leaves."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from billfleet_ops.clients import Clients
from billfleet_ops.configuration import clients_of, load_settings
from billfleet_ops.errors import HomeInUse
from billfleet_ops.local.home import Home
from billfleet_ops.local.process import command_of, pid_in
from billfleet_ops.local.stack import EmbeddedStack
from billfleet_ops.resources import place_of

OWNER = """
import sys
from pathlib import Path
from billfleet_ops.local.stack import EmbeddedStack
stack = EmbeddedStack(Path(sys.argv[1]), environ={}, durable=False)
with stack.running():
    print("ready", flush=True)
    sys.stdin.read()
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("stack-home")


@pytest.fixture
def owner(home: Path) -> Iterator["subprocess.Popen[str]"]:
    """Another process that runs the stack, as `billfleet up` does."""
    started = subprocess.Popen(
        [sys.executable, "-c", OWNER, str(home)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert started.stdout is not None
    assert started.stdout.readline() == "ready\n"
    yield started
    started.kill()
    started.communicate()


def _stack(home: Path, **environ: str) -> EmbeddedStack:
    return EmbeddedStack(home, environ=environ, durable=False)


def _queue(stack: EmbeddedStack) -> tuple[Clients, str]:
    clients = stack.clients()
    assert clients is not None
    return clients, clients.sqs.get_queue_url(QueueName="billfleet-local-rebill")["QueueUrl"]


def test_after_a_kill_of_its_owner_the_stack_starts_again_with_all_its_data(
    home: Path, owner: "subprocess.Popen[str]"
) -> None:
    held = Home(home)
    running = [pid_in(held.pid_path(name)) for name in ("postgres", "aws")]
    published = held.published()
    clients = Clients(
        region=published["AWS_REGION"],
        endpoint_url=published["AWS_ENDPOINT_URL"],
        credentials=("local", "local"),
    )
    url = clients.sqs.get_queue_url(QueueName="billfleet-local-rebill")["QueueUrl"]
    clients.sqs.send_message(QueueUrl=url, MessageBody="survivor")
    owner.send_signal(signal.SIGKILL)
    owner.wait()
    stack = _stack(home)
    with stack.running():
        assert all(pid is not None and command_of(pid) == "" for pid in running)
        again, url = _queue(stack)
        received = again.sqs.receive_message(QueueUrl=url)
        assert [message["Body"] for message in received["Messages"]] == ["survivor"]
        assert stack.postgres is not None
        assert stack.postgres.execute("SELECT version_num FROM alembic_version").strip()


def test_a_second_stack_in_the_same_home_is_refused(
    home: Path, owner: "subprocess.Popen[str]"
) -> None:
    with pytest.raises(HomeInUse, match=str(owner.pid)), _stack(home).running():
        pass
    assert owner.poll() is None


def test_fresh_deletes_the_data_and_starts_over(home: Path) -> None:
    first = _stack(home)
    with first.running():
        clients, url = _queue(first)
        clients.sqs.send_message(QueueUrl=url, MessageBody="to be deleted")
        assert first.postgres is not None
        first.postgres.execute("CREATE TABLE to_be_deleted ();")
    second = _stack(home)
    with second.running(fresh=True):
        clients, url = _queue(second)
        assert "Messages" not in clients.sqs.receive_message(QueueUrl=url, WaitTimeSeconds=0)
        assert second.postgres is not None
        assert second.postgres.execute("SELECT to_regclass('to_be_deleted') IS NULL") == "t\n"


def test_a_second_terminal_finds_the_stack_and_only_while_it_runs(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stack = _stack(home)
    for name in stack.environment():
        # Set through monkeypatch, so that what load_settings puts there is undone.
        monkeypatch.setenv(name, "")
    monkeypatch.setenv("AWS_PROFILE", "somebodys-account-that-is-not-configured-here")
    monkeypatch.setenv("BILLFLEET_HOME", str(home))
    with stack.running():
        settings = load_settings()
        assert settings.database_url.get_secret_value() == os.environ["DATABASE_URL"]
        assert "billfleet_app" in os.environ["DATABASE_URL"]
        assert settings.aws_endpoint_url == os.environ["AWS_ENDPOINT_URL"]
        assert settings.stack == "billfleet-local"
        assert place_of(clients_of(settings), settings.stack).account_id == "000000000000"
    assert Home(home).published() == {}


def test_real_endpoints_are_used_and_never_started_migrated_or_deleted(tmp_path: Path) -> None:
    environ = {"DATABASE_URL": "postgresql://real/app", "AWS_ENDPOINT_URL": "http://real"}
    stack = EmbeddedStack(tmp_path, environ=environ)
    with stack.running(fresh=True):
        assert (stack.postgres, stack.aws, stack.deployment) == (None, None, None)
        assert stack.environment() == {"BILLFLEET_STACK": "billfleet-local"}
