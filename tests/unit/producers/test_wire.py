"""Connections to AWS: kept, replaced, bounded, trusted; over a scripted far end on loopback.

Both wires sit the same exam; what only one of them can do is at the end.
"""

import asyncio
import os
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from billfleet_producers.lean.blocking_wire import BlockingWire
from billfleet_producers.lean.http1 import BrokenAnswer, Reply, StaleConnection, Unreachable
from billfleet_producers.lean.wire import Wire
from certificates import Certificates


def answer(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body)


OK = answer(b"ok")
HANG_UP = b""
RESET = b"reset"


def reset(writer: asyncio.StreamWriter) -> None:
    at_once = struct.pack("ii", 1, 0)
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, at_once)
    writer.transport.abort()


class FarEnd:
    """Answers each request with the next step of its script; `HANG_UP` closes instead.

    When the script is over, a request is answered with its own body.
    """

    def __init__(self, *script: bytes | list[bytes], pace_s: float = 0) -> None:
        self._script = list(script)
        self._pace_s = pace_s
        self.requests: list[bytes] = []
        self.connections = 0
        self.url = ""
        self.asked = asyncio.Event()
        self.left = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                body = await reader.readexactly(length)
                self.requests.append(head + body)
                self.asked.set()
                step = self._script.pop(0) if self._script else answer(body)
                for piece in step if isinstance(step, list) else [step]:
                    if piece == HANG_UP:
                        return
                    if piece == RESET:
                        reset(writer)
                        return
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(self._pace_s)
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()
            self.left.set()


class InThread:
    """A blocking wire behind the async face."""

    def __init__(self, blocking: BlockingWire) -> None:
        self.blocking = blocking

    async def post(self, headers: Mapping[str, str], body: bytes) -> Reply:
        return await asyncio.to_thread(self.blocking.post, headers, body)

    async def close(self) -> None:
        self.blocking.close()


AnyWire = Wire | InThread


def make_wire(kind: str, url: str, **arguments: Any) -> AnyWire:
    if kind == "blocking":
        return InThread(BlockingWire(url, headers={"User-Agent": "tests"}, **arguments))
    return Wire(url, headers={"User-Agent": "tests"}, **arguments)


@asynccontextmanager
async def opened(
    *script: bytes | list[bytes],
    connections_max: int = 8,
    read_timeout_s: float = 20.0,
    serves: ssl.SSLContext | None = None,
    trusted: ssl.SSLContext | None = None,
    host: str = "127.0.0.1",
    kind: str = "async",
    pace_s: float = 0,
) -> AsyncIterator[tuple[FarEnd, AnyWire]]:
    far = FarEnd(*script, pace_s=pace_s)
    server = await asyncio.start_server(far.serve, "127.0.0.1", 0, ssl=serves)
    port = server.sockets[0].getsockname()[1]
    wire = make_wire(
        kind,
        f"http{'s' if serves else ''}://{host}:{port}/",
        trusted=trusted,
        connections_max=connections_max,
        connect_timeout_s=5.0,
        read_timeout_s=read_timeout_s,
    )
    try:
        yield far, wire
    finally:
        await wire.close()
        server.close()
        await server.wait_closed()


BOTH = pytest.mark.parametrize("kind", ["async", "blocking"])


async def ask(wire: AnyWire, body: bytes = b"ok") -> bytes:
    return (await wire.post({"X-Amz-Target": "T"}, body)).payload


@BOTH
async def test_requests_share_a_connection_and_carry_their_headers(kind: str) -> None:
    async with opened(kind=kind) as (far, wire):
        assert [await ask(wire, b"one"), await ask(wire, b"two")] == [b"one", b"two"]
    assert far.connections == 1
    assert far.requests[1] == (
        b"POST / HTTP/1.1\r\nUser-Agent: tests\r\nX-Amz-Target: T\r\nContent-Length: 3\r\n\r\ntwo"
    )


@BOTH
@pytest.mark.parametrize(
    "pieces",
    [
        [b"HTTP/1.1 200 OK\r\nConte", b"nt-Length: 5\r\n\r\nwh", b"ole"],
        [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nwh\r\n3\r\nole\r\n0\r\n\r\n"],
        [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwhole"],
    ],
)
async def test_answer_in_pieces_is_read_to_its_end(kind: str, pieces: list[bytes]) -> None:
    async with opened(pieces, kind=kind) as (far, wire):
        assert [await ask(wire), await ask(wire)] == [b"whole", b"ok"]
    assert far.connections == 1


@BOTH
async def test_status_and_headers_of_a_refusal_are_known(kind: str) -> None:
    refusal = b"HTTP/1.1 400 Bad\r\nX-Amzn-RequestId: r-1\r\nContent-Length: 0\r\n\r\n"
    async with opened(refusal, kind=kind) as (_, wire):
        reply = await wire.post({}, b"")
    assert (reply.status, reply.headers["x-amzn-requestid"], reply.payload) == (400, "r-1", b"")


@BOTH
async def test_kept_connection_that_closes_on_a_request_is_told_apart(kind: str) -> None:
    async with opened(OK, HANG_UP, kind=kind) as (far, wire):
        await ask(wire)
        with pytest.raises(StaleConnection):
            await ask(wire)
        assert await ask(wire) == b"ok"
    assert far.connections == 2


@BOTH
async def test_kept_connection_that_is_reset_on_a_request_is_told_apart(kind: str) -> None:
    async with opened(OK, RESET, kind=kind) as (far, wire):
        await ask(wire)
        with pytest.raises(StaleConnection):
            await ask(wire)
        assert await ask(wire) == b"ok"
    assert far.connections == 2


@BOTH
async def test_new_connection_that_is_reset_is_an_error_like_any_other(kind: str) -> None:
    async with opened(RESET, kind=kind) as (_, wire):
        with pytest.raises(ConnectionError) as caught:
            await ask(wire)
    assert not isinstance(caught.value, StaleConnection)


@BOTH
@pytest.mark.parametrize("end", [HANG_UP, RESET])
async def test_kept_connection_that_ends_in_mid_answer_is_not_stale(kind: str, end: bytes) -> None:
    async with opened(OK, [b"HTTP/1.1 200 OK\r\n", end], kind=kind) as (_, wire):
        await ask(wire)
        with pytest.raises(ConnectionError) as caught:
            await ask(wire)
    assert not isinstance(caught.value, StaleConnection)


@BOTH
async def test_new_connection_that_closes_is_an_error_like_any_other(kind: str) -> None:
    async with opened(HANG_UP, kind=kind) as (_, wire):
        with pytest.raises(BrokenAnswer):
            await ask(wire)


@BOTH
@pytest.mark.parametrize("said", [b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 200 OK\r\nContent-Len"])
async def test_what_is_no_whole_answer_is_broken(kind: str, said: bytes) -> None:
    async with opened([said, HANG_UP], kind=kind) as (_, wire):
        with pytest.raises(BrokenAnswer):
            await ask(wire)


@BOTH
async def test_connection_that_the_far_end_will_close_is_not_kept(kind: str) -> None:
    last = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"
    async with opened(last, kind=kind) as (far, wire):
        assert [await ask(wire), await ask(wire)] == [b"ok", b"ok"]
    assert far.connections == 2


@BOTH
async def test_silence_ends_and_its_connection_is_not_used_again(kind: str) -> None:
    async with opened([b"HTTP/1.1 200 OK\r\n"], read_timeout_s=0.05, kind=kind) as (far, wire):
        with pytest.raises(TimeoutError):
            await ask(wire)
        assert await ask(wire) == b"ok"
    assert far.connections == 2


@BOTH
async def test_answer_that_drips_ends_at_the_same_deadline_as_silence(kind: str) -> None:
    drips = [bytes([byte]) for byte in OK]
    async with opened(drips, read_timeout_s=0.05, pace_s=0.01, kind=kind) as (far, wire):
        with pytest.raises(TimeoutError, match="no answer in time"):
            await ask(wire)
        await far.left.wait()
    assert far.connections == 1


STRAY = answer(b"stray")


@BOTH
@pytest.mark.parametrize("step", [[OK + STRAY], [OK, STRAY, HANG_UP]])
async def test_answer_that_nobody_asked_for_is_nobodys(kind: str, step: list[bytes]) -> None:
    async with opened(step, kind=kind) as (far, wire):
        assert await ask(wire) == b"ok"
        if HANG_UP in step:
            await far.left.wait()
            for _ in range(10):
                await asyncio.sleep(0)
        assert await ask(wire, b"mine") == b"mine"
    assert far.connections == 2


@BOTH
async def test_everybody_gets_the_answer_of_their_own_request(kind: str) -> None:
    async with opened(kind=kind) as (_, wire):
        bodies = [f"number {number}".encode() for number in range(40)]
        assert await asyncio.gather(*(ask(wire, body) for body in bodies)) == bodies


@BOTH
async def test_connection_that_was_closed_while_idle_is_replaced(kind: str) -> None:
    async with opened([OK, HANG_UP], kind=kind) as (far, wire):
        await ask(wire)
        await far.left.wait()
        for _ in range(10):
            await asyncio.sleep(0)
        assert await ask(wire, b"mine") == b"mine"
    assert far.connections == 2


async def test_connection_whose_wire_was_closed_by_another_thread_is_not_kept() -> None:
    async with opened([OK[:5], OK[5:]], kind="blocking", pace_s=0.02) as (far, wire):
        asking = asyncio.create_task(ask(wire))
        await far.asked.wait()
        await wire.close()
        assert await asking == b"ok"
        await far.left.wait()
    assert far.connections == 1


async def test_forked_process_opens_connections_of_its_own() -> None:
    async with opened(kind="blocking") as (far, wire):
        await ask(wire)
        assert isinstance(wire, InThread)
        status = await asyncio.to_thread(_ask_in_a_fork, wire)
        assert await ask(wire) == b"ok"
    assert (status, far.connections) == (0, 2)


def _ask_in_a_fork(wire: InThread) -> int:
    pid = os.fork()
    if pid == 0:
        is_answered = wire.blocking.post({}, b"mine").payload == b"mine"
        os._exit(0 if is_answered else 1)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


async def test_nobody_gets_the_answer_of_a_request_that_was_given_up() -> None:
    async with opened([b"HTTP/1.1 200 OK\r\n"], connections_max=1) as (far, wire):
        given_up = asyncio.create_task(ask(wire))
        await far.asked.wait()
        given_up.cancel()
        with pytest.raises(asyncio.CancelledError):
            await given_up
        assert await ask(wire) == b"ok"
    assert far.connections == 2


async def test_no_more_connections_than_allowed() -> None:
    async with opened(connections_max=2) as (far, wire):
        assert await asyncio.gather(*(ask(wire) for _ in range(20))) == [b"ok"] * 20
    assert far.connections <= 2


async def test_a_turn_that_is_given_up_goes_to_the_next() -> None:
    async with opened([b"HTTP/1.1 200 OK\r\n"], connections_max=1) as (far, wire):
        first = asyncio.create_task(ask(wire))
        await far.asked.wait()
        waiting = [asyncio.create_task(ask(wire)) for _ in range(3)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        first.cancel()
        await asyncio.sleep(0)
        waiting[1].cancel()
        assert await waiting[2] == b"ok"
        await asyncio.gather(first, *waiting, return_exceptions=True)


async def test_closing_ends_what_is_under_way() -> None:
    async with opened([b"HTTP/1.1 200 OK\r\n"]) as (far, wire):
        connecting, answering = (asyncio.create_task(ask(wire)) for _ in range(2))
        await far.asked.wait()
        late = asyncio.create_task(ask(wire))
        await asyncio.sleep(0)
        await wire.close()
        ends = await asyncio.gather(connecting, answering, late, return_exceptions=True)
    assert isinstance(ends[0], BrokenAnswer)
    assert isinstance(ends[2], BrokenAnswer)


@BOTH
async def test_after_closing_nothing_is_opened(kind: str) -> None:
    async with opened(kind=kind) as (far, wire):
        await ask(wire)
        await wire.close()
        with pytest.raises(ConnectionError):
            await ask(wire)
    assert far.connections == 1


@BOTH
async def test_nobody_listening_is_named_by_its_address(kind: str) -> None:
    fresh = make_wire(
        kind,
        "http://127.0.0.1:1/",
        trusted=None,
        connections_max=1,
        connect_timeout_s=5.0,
        read_timeout_s=5.0,
    )
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1:1: "):
        await ask(fresh)


@BOTH
async def test_tls_with_a_certificate_that_we_trust(kind: str, tmp_path: Path) -> None:
    made = Certificates.make(tmp_path, host="localhost")
    async with opened(serves=made.server(), trusted=made.client(), host="localhost", kind=kind) as (
        far,
        wire,
    ):
        assert [await ask(wire), await ask(wire)] == [b"ok", b"ok"]
    assert far.connections == 1


@BOTH
@pytest.mark.parametrize("why", ["unknown", "other host"])
async def test_tls_with_a_certificate_that_we_do_not_trust(
    kind: str, tmp_path: Path, why: str
) -> None:
    made = Certificates.make(tmp_path, host="localhost" if why == "unknown" else "elsewhere.test")
    trusted = ssl.create_default_context() if why == "unknown" else made.client()
    async with opened(serves=made.server(), trusted=trusted, host="localhost", kind=kind) as (
        far,
        wire,
    ):
        with pytest.raises(ssl.SSLCertVerificationError):
            await ask(wire)
    assert far.requests == []


async def test_closing_sends_away_everybody_who_waits_for_a_connection() -> None:
    async with opened([b"HTTP/1.1 200 OK\r\n"], connections_max=1) as (far, wire):
        asking = [asyncio.create_task(ask(wire)) for _ in range(4)]
        await far.asked.wait()
        await wire.close()
        async with asyncio.timeout(5):
            ends = await asyncio.gather(*asking, return_exceptions=True)
    assert [isinstance(end, OSError) for end in ends] == [True] * 4


@BOTH
async def test_an_answer_that_changes_the_protocol_is_broken(kind: str) -> None:
    switches = b"HTTP/1.1 101 Switching\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n"
    async with opened(switches, kind=kind) as (_, wire):
        with pytest.raises(BrokenAnswer):
            await ask(wire)
