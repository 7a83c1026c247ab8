"""The exam of the metrics port: in memory and on statsd over UDP."""

from billfleet_workers.runtime.ports.metrics import METRICS
from port_benches import MetricsBench


def tags_of(name: str) -> dict[str, str]:
    return {
        tag: f"some {tag}" for metric, one in METRICS.items() if metric == name for tag in one.tags
    }


async def test_every_figure_of_the_registry_arrives(metrics_bench: MetricsBench) -> None:
    metrics = metrics_bench.metrics
    expected: set[tuple[str, str, float]] = set()
    for name, one in METRICS.items():
        if one.kind == "counter":
            metrics.count(name, 3, **tags_of(name))  # type: ignore[arg-type]
            expected.add((name, "c", 3))
        elif one.kind == "timer":
            metrics.timing(name, 12.5, **tags_of(name))  # type: ignore[arg-type]
            expected.add((name, "ms", 12.5))
        else:
            metrics.gauge(name, 7.25, **tags_of(name))  # type: ignore[arg-type]
            expected.add((name, "g", 7.25))
    assert await metrics_bench.seen() == expected


async def test_many_durations_of_a_series_each_arrive(metrics_bench: MetricsBench) -> None:
    tags = tags_of("handle_ms")
    metrics_bench.metrics.timings("handle_ms", [1.5, 20.25, 300.0], **tags)
    metrics_bench.metrics.timings("handle_ms", [], **tags)
    assert await metrics_bench.seen() == {("handle_ms", "ms", ms) for ms in (1.5, 20.25, 300.0)}
