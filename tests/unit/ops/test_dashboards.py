"""Dashboards: current, whole, and each alarm with its line and its page."""

import json
from pathlib import Path
from typing import Any

import pytest

from billfleet_ops.alarms import ALARMS
from billfleet_ops.dashboards import cloudwatch, grafana, main, texts
from billfleet_workers.runtime.ports.metrics import METRICS

FOLDER = Path(__file__).parents[3] / "ops" / "dashboards"


@pytest.mark.parametrize("name", ["grafana.json", "cloudwatch.json"])
def test_a_dashboard_is_what_the_registry_makes_of_it(name: str) -> None:
    assert (FOLDER / name).read_text() == texts()[name], "run `make dashboards`"
    assert main(["--check"]) == 0


def test_every_metric_has_one_panel_in_each() -> None:
    panels = grafana()["panels"]
    asked = " ".join(target["expr"] for panel in panels for target in panel["targets"])
    widgets = json.dumps(cloudwatch())
    assert len(panels) == len(cloudwatch()["widgets"]) == len(METRICS)
    for name in METRICS:
        assert f"billfleet_{name}" in asked
        assert f'\\"billfleet_{name}\\"' in widgets


def test_every_alarm_names_its_runbook_on_its_panel() -> None:
    described = {panel["title"]: panel["description"] for panel in grafana()["panels"]}
    for alarm in ALARMS:
        said = described[alarm.metric.replace("_", " ")]
        assert alarm.name in said
        assert alarm.runbook in said


def test_no_two_panels_stand_on_each_other() -> None:
    def places(listed: list[dict[str, Any]]) -> list[tuple[int, int]]:
        return [(one["x"], one["y"]) for one in listed]

    for found in (
        places([panel["gridPos"] for panel in grafana()["panels"]]),
        places(cloudwatch()["widgets"]),
    ):
        assert len(set(found)) == len(found)
