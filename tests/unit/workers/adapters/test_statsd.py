"""The statsd lines and how they are packed. Figures travel over a socket of the loopback."""

import asyncio
import math
import socket
from collections.abc import Iterator

import pytest
from structlog.testing import capture_logs

from billfleet_workers.adapters.memory_metrics import MemoryMetrics
from billfleet_workers.adapters.statsd import DATAGRAM_BYTES_MAX, StatsdMetrics, format_line

TAGS = {"queue": "rebill", "type": "billfleet.billing.rebill_accounts.v1", "outcome": "done"}


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.bind(("127.0.0.1", 0))
        receiver.settimeout(5)
        yield receiver


def test_plain_name_carries_the_tag_values_in_the_registry_s_order() -> None:
    shuffled = dict(reversed(TAGS.items()))
    expected = "billfleet.deliveries.rebill.billfleet_billing_rebill_accounts_v1.done:1|c"
    assert format_line("deliveries", "1|c", shuffled, "none") == expected


def test_dogstatsd_keeps_tags_apart() -> None:
    tags = "queue:rebill,type:billfleet.billing.rebill_accounts.v1,outcome:done"
    line = format_line("deliveries", "1|c", TAGS, "dogstatsd")
    assert line == f"billfleet.deliveries:1|c|#{tags}"
    assert format_line("outbox_depth", "4|g", {}, "dogstatsd") == "billfleet.outbox_depth:4|g"


@pytest.mark.parametrize("form", ["none", "dogstatsd"])
def test_tag_values_can_not_break_the_line(form: str) -> None:
    evil = {"queue": "a|b:c,#d\ne é" + "x" * 500}
    line = format_line("in_flight", "1|g", evil, "none" if form == "none" else "dogstatsd")
    assert "\n" not in line
    assert line.isascii()
    assert line.count("|") == (1 if form == "none" else 2)
    assert len(line) < 200


def test_missing_tag_is_said_to_be_none() -> None:
    assert format_line("in_flight", "1|g", {}, "none") == "billfleet.in_flight.none:1|g"


async def test_figures_are_packed_into_datagrams_that_fit_a_frame(listener: socket.socket) -> None:
    metrics = StatsdMetrics("127.0.0.1", listener.getsockname()[1])
    for _ in range(200):
        metrics.count("deliveries", 1, **TAGS)
    metrics.close()
    lines = 0
    sizes: list[int] = []
    while lines < 200:
        data = listener.recv(65_536)
        sizes.append(len(data))
        lines += len(data.split(b"\n"))
    assert lines == 200
    assert max(sizes) <= DATAGRAM_BYTES_MAX
    assert len(sizes) <= 12


async def test_lone_figure_is_sent_by_the_timer(listener: socket.socket) -> None:
    metrics = StatsdMetrics("127.0.0.1", listener.getsockname()[1])
    metrics.gauge("outbox_depth", 4)
    data = await asyncio.to_thread(listener.recv, 2_000)
    assert data == b"billfleet.outbox_depth:4|g"
    metrics.close()


async def test_host_given_by_name_is_found_beside_the_work(listener: socket.socket) -> None:
    metrics = StatsdMetrics("localhost", listener.getsockname()[1])
    metrics.gauge("outbox_depth", 4)
    data = await asyncio.to_thread(listener.recv, 2_000)
    assert data == b"billfleet.outbox_depth:4|g"
    metrics.close()


async def test_unknown_host_is_logged_once_and_costs_nothing_else() -> None:
    with capture_logs() as logs:
        metrics = StatsdMetrics("no-such-host.invalid", 8125)
        metrics.count("messages_received", queue="rebill")
        await metrics.search_over()
        for _ in range(100):
            metrics.count("messages_received", queue="rebill")
            await metrics.search_over()
        metrics.close()
    assert [line["event"] for line in logs] == ["statsd_host_unknown"]
    assert logs[0]["host"] == "no-such-host.invalid"


async def test_dead_host_costs_nothing() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    metrics = StatsdMetrics("127.0.0.1", port)
    for _ in range(1_000):
        metrics.count("messages_received", queue="rebill")
    metrics.close()
    metrics.close()
    metrics.count("messages_received", queue="rebill")


async def test_figures_that_are_no_numbers_are_left_out(listener: socket.socket) -> None:
    metrics = StatsdMetrics("127.0.0.1", listener.getsockname()[1])
    metrics.gauge("outbox_depth", math.nan)
    metrics.timing("claim_ms", math.inf, queue="rebill")
    metrics.gauge("event_loop_lag_ms", -1)
    metrics.close()
    lag = b"billfleet.event_loop_lag_ms"
    assert listener.recv(2_000).split(b"\n") == [lag + b":0|g", lag + b":-1|g"]


def test_memory_twin_refuses_tags_that_the_registry_does_not_have() -> None:
    metrics = MemoryMetrics()
    with pytest.raises(ValueError, match="in_flight"):
        metrics.gauge("in_flight", 1, worker="rebill")
    metrics.count("deliveries", 1, **TAGS)
    metrics.count("deliveries", 2, **{**TAGS, "outcome": "retry"})
    assert metrics.total("deliveries", queue="rebill") == 3
    assert metrics.total("deliveries", outcome="retry") == 2
