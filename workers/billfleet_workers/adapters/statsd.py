"""The metrics port on statsd, over UDP.

`main` opens it where a statsd host is set; everything that emits uses it through
`runtime.ports.metrics`. Emitting writes a line into a buffer and returns: it never waits, and a
dead or unknown host costs figures, never work. Lines are packed into datagrams that fit an
Ethernet frame, sent when one is full, half a second after the first line, and at close.

Plain statsd has no tags, so their values become part of the name, in the registry's order:
`billfleet.deliveries.rebill.billfleet_billing_rebill_accounts_v1.done`. The DogStatsD form keeps
them apart: `billfleet.deliveries:1|c|#queue:rebill,type:...,outcome:done`.
"""

import asyncio
import contextlib
import math
import re
import socket
from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import Any, Literal

import structlog

from billfleet_workers.runtime.ports.metrics import METRICS, Counter, Gauge, Timer

PREFIX = "billfleet"
DATAGRAM_BYTES_MAX = 1_432
FLUSH_AFTER_S = 0.5
FIND_AGAIN_AFTER_S = 30.0
VALUE_CHARS_MAX = 80

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9_-]")
_NOT_IN_TAGS = re.compile(r"[^A-Za-z0-9_./-]")

Form = Literal["none", "dogstatsd"]
Address = tuple[socket.AddressFamily, Any]

_TAGS: dict[str, tuple[str, ...]] = {name: one.tags for name, one in METRICS.items()}

log = structlog.get_logger("billfleet.statsd")


class StatsdMetrics:
    """Emits to one statsd, from inside a running event loop."""

    def __init__(self, host: str, port: int, *, tags: Form = "none") -> None:
        self._host, self._port, self._form = host, port, tags
        self._lines: list[bytes] = []
        self._bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._finding: asyncio.Task[None] | None = None
        self._find_again_at_s = 0.0
        self._failing = False
        self._closed = False
        self._socket: socket.socket | None = None
        with contextlib.suppress(OSError):
            # An address needs no look-up; a name is looked up beside the first figures.
            self._connect(_look_up(host, port, socket.AI_NUMERICHOST))

    def count(self, name: Counter, value: int = 1, **tags: str) -> None:
        """Add to a counter."""
        self._emit(name, (b"%d|c" % value,), tags)

    def timing(self, name: Timer, ms: float, **tags: str) -> None:
        """Record a duration in milliseconds."""
        self.timings(name, (ms,), **tags)

    def timings(self, name: Timer, all_ms: Sequence[float], **tags: str) -> None:
        """Record many durations of one series; a line each."""
        self._emit(name, [b"%.3f|ms" % ms for ms in all_ms if math.isfinite(ms)], tags)

    def gauge(self, name: Gauge, value: float, **tags: str) -> None:
        """Set a gauge."""
        if not math.isfinite(value):
            return
        if value < 0 and self._form == "none":
            # Plain statsd reads a sign as a change, so a negative gauge starts from zero.
            self._emit(name, (b"0|g",), tags)
        self._emit(name, (b"%.10g|g" % value,), tags)

    def flush(self) -> None:
        """Send what is in the buffer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._send_lines()

    def _send_lines(self) -> None:
        if not self._lines:
            return
        datagram = b"\n".join(self._lines)
        self._lines.clear()
        self._bytes = 0
        self._send(datagram)

    async def search_over(self) -> None:
        """Return when no look-up of the host is under way."""
        if self._finding is not None:
            await asyncio.wait([self._finding])

    def close(self) -> None:
        """Send what is left and let go of the socket. Safe to call twice."""
        self.flush()
        self._closed = True
        if self._finding is not None:
            self._finding.cancel()
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _emit(self, name: str, figures: Iterable[bytes], tags: dict[str, str]) -> None:
        if self._closed:
            return
        head, tail = _frame(name, tuple(tags.items()), self._form)
        for figure in figures:
            line = head + figure + tail
            if self._bytes + len(line) > DATAGRAM_BYTES_MAX:
                self._send_lines()
            self._lines.append(line)
            self._bytes += len(line) + 1
        if self._timer is None or self._socket is None:
            self._arrange()

    def _arrange(self) -> None:
        """See to it that what is in the buffer leaves, and that there is somewhere to go."""
        loop = asyncio.get_running_loop()
        if self._timer is None:
            self._timer = loop.call_later(FLUSH_AFTER_S, self.flush)
        if self._socket is None and self._finding is None and loop.time() >= self._find_again_at_s:
            self._finding = loop.create_task(self._find())

    async def _find(self) -> None:
        """Look the name up, off the event loop; again every half minute while it is unknown."""
        loop = asyncio.get_running_loop()
        try:
            self._connect(await loop.run_in_executor(None, _look_up, self._host, self._port, 0))
        except OSError as error:
            log.warning(
                "statsd_host_unknown",
                host=self._host,
                error=str(error),
                do="figures go nowhere until it is known: correct BILLFLEET_STATSD_HOST or the DNS",
            )
            self._find_again_at_s = loop.time() + FIND_AGAIN_AFTER_S
        finally:
            self._finding = None

    def _connect(self, address: Address) -> None:
        family, self._target = address
        self._socket = socket.socket(family, socket.SOCK_DGRAM)
        self._socket.settimeout(0)

    def _send(self, datagram: bytes) -> None:
        if self._socket is None:
            return
        try:
            self._socket.sendto(datagram, self._target)
        except OSError as error:
            if not self._failing:
                log.warning("statsd_send_failed", target=str(self._target), error=str(error))
            self._failing = True
        else:
            self._failing = False


def _look_up(host: str, port: int, flags: int) -> Address:
    family, _, _, _, target = socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM, flags=flags)[0]
    return family, target


def format_line(name: str, figure: str, tags: dict[str, str], form: Form) -> str:
    """One line of the protocol. Tags are the registry's, in its order; a missing one is `none`."""
    head, tail = _frame(name, tuple(tags.items()), form)
    return (head + figure.encode() + tail).decode()


# The same few series are written over and over: what surrounds the figure is made once for each.
@lru_cache(maxsize=4096)
def _frame(name: str, tags: tuple[tuple[str, str], ...], form: Form) -> tuple[bytes, bytes]:
    given = dict(tags)
    values = [(tag, given.get(tag) or "none") for tag in _TAGS.get(name, ())]
    if form == "dogstatsd":
        pairs = ",".join(f"{tag}:{_clean(_NOT_IN_TAGS, value)}" for tag, value in values)
        return f"{PREFIX}.{name}:".encode(), f"|#{pairs}".encode() if pairs else b""
    parts = [PREFIX, name, *(_clean(_NOT_IN_NAMES, value) for _, value in values)]
    return f"{'.'.join(parts)}:".encode(), b""


def _clean(pattern: re.Pattern[str], value: str) -> str:
    return pattern.sub("_", value)[:VALUE_CHARS_MAX]
