"""The page of metrics says what the registry says."""

from pathlib import Path
from typing import get_args

from billfleet_workers.runtime.ports.metrics import METRICS, Counter, Gauge, Timer

PAGE = Path(__file__).parents[3] / "workers" / "METRICS.md"


def test_every_metric_stands_on_the_page_with_what_it_says() -> None:
    lines = PAGE.read_text().splitlines()
    for name, one in METRICS.items():
        row = f"| `billfleet.{name}` | {one.kind} | {', '.join(one.tags)} | {one.says} |"
        assert row in lines
    assert sum(line.startswith("| `billfleet.") for line in lines) == len(METRICS)


def test_every_name_that_type_checks_is_registered_with_its_kind() -> None:
    kinds = {"counter": Counter, "timer": Timer, "gauge": Gauge}
    for kind, names in kinds.items():
        registered = {name for name, one in METRICS.items() if one.kind == kind}
        assert registered == set(get_args(names))
