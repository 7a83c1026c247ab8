"""Connections to AWS: kept, replaced, bounded, trusted; over a scripted far end on loopback."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from billfleet_producers.lean.wire import BrokenAnswer, StaleConnection, Unreachable, Wire
from certificates import Certificates

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
HANG_UP = b""


class FarEnd:
    """Answers each request with the next step of its script; `HANG_UP` closes instead."""

    def __init__(self, *script: bytes | list[bytes]) -> None:
        self._script = list(script)
        self.requests: list[bytes] = []
        self.connections = 0
        self.url = ""
        self.asked = asyncio.Event()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
                self.requests.append(head + await reader.readexactly(length))
                self.asked.set()
                step = self._script.pop(0) if self._script else OK
                for piece in step if isinstance(step, list) else [step]:
                    if piece == HANG_UP:
                        return
                    writer.write(piece)
                    await writer.drain()
                    await asyncio.sleep(0)
        except (asyncio.IncompleteReadError, ConnectionError):
            return
        finally:
            writer.close()


@asynccontextmanager
async def opened(
    *script: bytes | list[bytes],
    connections_max: int = 8,
    read_timeout_s: float = 20.0,
    serves: ssl.SSLContext | None = None,
    trusted: ssl.SSLContext | None = None,
    host: str = "127.0.0.1",
) -> AsyncIterator[tuple[FarEnd, Wire]]:
    far = FarEnd(*script)
    server = await asyncio.start_server(far.serve, "127.0.0.1", 0, ssl=serves)
    port = server.sockets[0].getsockname()[1]
    wire = Wire(
        f"http{'s' if serves else ''}://{host}:{port}/",
        headers={"User-Agent": "tests"},
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


async def ask(wire: Wire, body: bytes = b"{}") -> bytes:
    return (await wire.post({"X-Amz-Target": "T"}, body)).payload


async def test_requests_share_a_connection_and_carry_their_headers() -> None:
    async with opened() as (far, wire):
        assert [await ask(wire, b"one"), await ask(wire, b"two")] == [b"ok", b"ok"]
    assert far.connections == 1
    assert far.requests[1] == (
        b"POST / HTTP/1.1\r\nUser-Agent: tests\r\nX-Amz-Target: T\r\nContent-Length: 3\r\n\r\ntwo"
    )


@pytest.mark.parametrize(
    "pieces",
    [
        [b"HTTP/1.1 200 OK\r\nConte", b"nt-Length: 5\r\n\r\nwh", b"ole"],
        [b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nwh\r\n3\r\nole\r\n0\r\n\r\n"],
        [b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nwhole"],
    ],
)
async def test_answer_in_pieces_is_read_to_its_end(pieces: list[bytes]) -> None:
    async with opened(pieces) as (far, wire):
        assert [await ask(wire), await ask(wire)] == [b"whole", b"ok"]
    assert far.connections == 1


async def test_status_and_headers_of_a_refusal_are_known() -> None:
    refusal = b"HTTP/1.1 400 Bad\r\nX-Amzn-RequestId: r-1\r\nContent-Length: 0\r\n\r\n"
    async with opened(refusal) as (_, wire):
        reply = await wire.post({}, b"")
    assert (reply.status, reply.headers["x-amzn-requestid"], reply.payload) == (400, "r-1", b"")


async def test_kept_connection_that_closes_on_a_request_is_told_apart() -> None:
    async with opened(OK, HANG_UP) as (far, wire):
        await ask(wire)
        with pytest.raises(StaleConnection):
            await ask(wire)
        assert await ask(wire) == b"ok"
    assert far.connections == 2


async def test_new_connection_that_closes_is_an_error_like_any_other() -> None:
    async with opened(HANG_UP) as (_, wire):
        with pytest.raises(BrokenAnswer):
            await ask(wire)


@pytest.mark.parametrize("said", [b"SSH-2.0-OpenSSH\r\n", b"HTTP/1.1 200 OK\r\nContent-Len"])
async def test_what_is_no_whole_answer_is_broken(said: bytes) -> None:
    async with opened([said, HANG_UP]) as (_, wire):
        with pytest.raises(BrokenAnswer):
            await ask(wire)


async def test_connection_that_the_far_end_will_close_is_not_kept() -> None:
    last = b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"
    async with opened(last) as (far, wire):
        assert [await ask(wire), await ask(wire)] == [b"ok", b"ok"]
    assert far.connections == 2


async def test_silence_ends_and_its_connection_is_not_used_again() -> None:
    async with opened([b"HTTP/1.1 200 OK\r\n"], read_timeout_s=0.05) as (far, wire):
        with pytest.raises(TimeoutError):
            await ask(wire)
        assert await ask(wire) == b"ok"
    assert far.connections == 2


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


async def test_after_closing_nothing_is_opened() -> None:
    async with opened() as (far, wire):
        await ask(wire)
        await wire.close()
        with pytest.raises(ConnectionError):
            await ask(wire)
    assert far.connections == 1


async def test_nobody_listening_is_named_by_its_address() -> None:
    fresh = Wire(
        "http://127.0.0.1:1/",
        headers={},
        trusted=None,
        connections_max=1,
        connect_timeout_s=5.0,
        read_timeout_s=5.0,
    )
    with pytest.raises(Unreachable, match=r"127\.0\.0\.1:1: "):
        await ask(fresh)


async def test_tls_with_a_certificate_that_we_trust(tmp_path: Path) -> None:
    made = Certificates.make(tmp_path, host="localhost")
    async with opened(serves=made.server(), trusted=made.client(), host="localhost") as (far, wire):
        assert [await ask(wire), await ask(wire)] == [b"ok", b"ok"]
    assert far.connections == 1


@pytest.mark.parametrize("why", ["unknown", "other host"])
async def test_tls_with_a_certificate_that_we_do_not_trust(tmp_path: Path, why: str) -> None:
    made = Certificates.make(tmp_path, host="localhost" if why == "unknown" else "elsewhere.test")
    trusted = ssl.create_default_context() if why == "unknown" else made.client()
    async with opened(serves=made.server(), trusted=trusted, host="localhost") as (far, wire):
        with pytest.raises(ssl.SSLCertVerificationError):
            await ask(wire)
    assert far.requests == []
