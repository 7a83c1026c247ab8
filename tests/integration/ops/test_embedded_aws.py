"""The embedded AWS endpoint: keeps its queues, sees no credentials, and ends with its owner."""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from billfleet_ops.clients import Clients
from billfleet_ops.errors import PortOccupied
from billfleet_ops.local.aws import EmbeddedAws
from billfleet_ops.local.process import command_of, pid_in


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedAws]:
    server = EmbeddedAws(tmp_path)
    server.start()
    yield server
    server.stop()


def _clients(server: EmbeddedAws) -> Clients:
    return Clients(
        region=server.region, endpoint_url=server.endpoint_url, credentials=("local", "local")
    )


def test_queues_and_messages_survive_a_restart_on_the_same_port(server: EmbeddedAws) -> None:
    sqs = _clients(server).sqs
    url = sqs.create_queue(QueueName="kept")["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="hello")
    port = server.port
    server.restart()
    assert server.port == port
    received = _clients(server).sqs.receive_message(QueueUrl=url)
    assert [message["Body"] for message in received["Messages"]] == ["hello"]


def test_it_listens_on_loopback_only_and_inherits_no_credentials(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-real-secret")
    server = EmbeddedAws(tmp_path, keep_state=False)
    server.start()
    try:
        pid = pid_in(server.home.pid_path("aws"))
        assert pid is not None
        assert "ministack" in command_of(pid)
        seen = Path(f"/proc/{pid}/environ")
        assert not seen.exists() or b"a-real-secret" not in seen.read_bytes()
        assert server.endpoint_url == f"http://127.0.0.1:{server.port}"
        assert server.port < 32_768
    finally:
        server.stop()
    assert command_of(pid) == ""


def test_an_occupied_port_is_named_with_what_to_do(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PortOccupied, match=str(port)) as refused:
            EmbeddedAws(tmp_path, port).start()
    assert "--aws-port" in refused.value.remedy


def test_an_emulator_without_tether_is_stopped_and_its_state_kept(server: EmbeddedAws) -> None:
    url = _clients(server).sqs.create_queue(QueueName="kept")["QueueUrl"]
    orphan = pid_in(server.home.pid_path("aws"))
    assert orphan is not None
    pid_file = server.home.pid_path("aws")
    recorded = pid_file.read_text()
    again = EmbeddedAws(server.home.root)
    again.start()
    try:
        assert command_of(orphan) == ""
        assert _clients(again).sqs.list_queues()["QueueUrls"] == [url]
    finally:
        again.stop()
    assert str(os.getpid()) not in recorded
    assert not pid_file.exists()


def test_forgetting_deletes_the_queues(server: EmbeddedAws) -> None:
    _clients(server).sqs.create_queue(QueueName="gone")
    server.stop()
    server.forget()
    server.start()
    assert not _clients(server).sqs.list_queues().get("QueueUrls")
