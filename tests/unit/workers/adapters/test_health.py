"""How the outside is told: over HTTP, and over systemd's socket."""

import socket
from pathlib import Path

import aiohttp
import pytest

from billfleet_workers.adapters.health_http import HealthEndpoint
from billfleet_workers.adapters.systemd import Systemd
from billfleet_workers.runtime.errors import Misconfigured


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


async def test_it_answers_200_while_well_and_503_with_what_is_wrong() -> None:
    problems: list[str] = []
    port = free_port()
    endpoint = await HealthEndpoint.open(
        "127.0.0.1", port, liveness=lambda: (), readiness=lambda: problems
    )
    async with aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session:
        async with session.get("/readyz") as answer:
            assert answer.status == 200
            assert await answer.json() == {"status": "ok", "problems": []}
        problems.append("postgresql is away: gone")
        async with session.get("/readyz") as answer:
            assert answer.status == 503
            assert (await answer.json())["problems"] == problems
        async with session.get("/livez") as answer:
            assert answer.status == 200
    await endpoint.close()


async def test_a_taken_port_is_named_with_what_to_do() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(Misconfigured, match="BILLFLEET_HEALTH_PORT"):
            await HealthEndpoint.open("127.0.0.1", port, liveness=tuple, readiness=tuple)


def test_systemd_hears_ready_beats_and_stopping(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(str(tmp_path / "notify"))
        systemd = Systemd({"NOTIFY_SOCKET": str(tmp_path / "notify")})
        systemd.ready("running rebill")
        systemd.beat()
        systemd.stopping()
        assert heard.recv(100) == b"READY=1\nSTATUS=running rebill"
        assert heard.recv(100) == b"WATCHDOG=1"
        assert heard.recv(100).startswith(b"STOPPING=1")


def test_without_systemd_or_with_a_dead_socket_nothing_happens() -> None:
    Systemd({}).beat()
    Systemd({"NOTIFY_SOCKET": "/nonexistent/socket"}).beat()
    Systemd({"NOTIFY_SOCKET": "@billfleet-nobody-listens"}).beat()
