"""The dashboards of Grafana and CloudWatch, made from the registry of metrics and the alarms.

`python -m billfleet_ops.dashboards` writes them into `ops/dashboards`; with `--check` it only says
whether they are current, which a test asks. Every metric has its panel, every alarm its line,
with its runbook beside it: what is emitted is what is seen. Nothing here asks any service.
"""

import json
import sys
from pathlib import Path
from typing import Any, Final

from billfleet_ops.alarms import ALARMS, NAMESPACE, Alarm, cloudwatch_name
from billfleet_workers.runtime.ports.metrics import METRICS, Counter, Gauge, MetricDef, Timer

FOLDER: Final = Path(__file__).parents[1] / "dashboards"
RUNBOOKS_AT: Final = "${runbooks}"
GRAFANA_COLUMNS, GRAFANA_WIDTH, GRAFANA_HEIGHT = 3, 8, 8
CLOUDWATCH_COLUMNS, CLOUDWATCH_WIDTH, CLOUDWATCH_HEIGHT = 3, 8, 6
PERIOD_S: Final = 60
QUANTILES: Final = ("0.5", "0.99")

Name = Counter | Gauge | Timer


def grafana() -> dict[str, Any]:
    """For Prometheus behind a statsd exporter, with tags (BILLFLEET_STATSD_TAGS=dogstatsd)."""
    panels = [_grafana_panel(number, name) for number, name in enumerate(ordered())]
    return {
        "uid": "billfleet",
        "title": "billfleet",
        "tags": ["billfleet"],
        "schemaVersion": 39,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-3h", "to": "now"},
        "templating": {
            "list": [
                {
                    "name": "datasource",
                    "type": "datasource",
                    "query": "prometheus",
                    "label": "Data source",
                },
                {
                    "name": "runbooks",
                    "type": "textbox",
                    "label": "Where this repository is read",
                    "query": "https://git.example/billfleet/blob/main",
                },
                {
                    "name": "queue",
                    "type": "query",
                    "label": "Queue",
                    "datasource": {"type": "prometheus", "uid": "${datasource}"},
                    "query": "label_values(billfleet_queue_waiting, queue)",
                    "includeAll": True,
                    "multi": True,
                    "allValue": ".*",
                    "refresh": 2,
                },
            ]
        },
        "panels": panels,
    }


def cloudwatch() -> dict[str, Any]:
    """For the metrics that the CloudWatch agent takes from statsd."""
    return {"widgets": [_widget(number, name) for number, name in enumerate(ordered())]}


def ordered() -> list[Name]:
    """Metrics that an alarm watches come first; the others follow as they are registered."""
    watched = list(dict.fromkeys(alarm.metric for alarm in ALARMS))
    return [*watched, *(name for name in METRICS if name not in watched)]


def alarms_of(name: Name) -> list[Alarm]:
    """The alarms that watch a metric."""
    return [alarm for alarm in ALARMS if alarm.metric == name]


def _described(name: Name) -> str:
    lines = [METRICS[name].says]
    lines += [
        f"Alarm **{one.name}**: {one.says} [Runbook]({RUNBOOKS_AT}/{one.runbook})"
        for one in alarms_of(name)
    ]
    return "\n\n".join(lines)


def _grafana_panel(number: int, name: Name) -> dict[str, Any]:
    metric = METRICS[name]
    thresholds = [one.threshold for one in alarms_of(name) if not one.where]
    steps: list[dict[str, Any]] = [{"color": "green", "value": None}]
    steps += [{"color": "red", "value": value} for value in thresholds[:1]]
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": name.replace("_", " "),
        "description": _described(name),
        "datasource": {"type": "prometheus", "uid": "${datasource}"},
        "gridPos": {
            "x": number % GRAFANA_COLUMNS * GRAFANA_WIDTH,
            "y": number // GRAFANA_COLUMNS * GRAFANA_HEIGHT,
            "w": GRAFANA_WIDTH,
            "h": GRAFANA_HEIGHT,
        },
        "fieldConfig": {
            "defaults": {
                "unit": _unit(name, metric),
                "custom": {"thresholdsStyle": {"mode": "line" if thresholds else "off"}},
                "thresholds": {"mode": "absolute", "steps": steps},
            },
            "overrides": [],
        },
        "targets": _targets(name, metric),
    }


def _targets(name: Name, metric: MetricDef) -> list[dict[str, Any]]:
    by = ", ".join(metric.tags)
    labels = '{queue=~"$queue"}' if "queue" in metric.tags else ""
    legend = " ".join(f"{{{{{tag}}}}}" for tag in metric.tags) or name
    if metric.kind == "counter":
        summed = f"sum by ({by}) " if by else "sum "
        return [
            {"refId": "A", "expr": f"{summed}(rate(billfleet_{name}{labels}[5m]))",
             "legendFormat": legend}
        ]  # fmt: skip
    if metric.kind == "gauge":
        grouped = f"max by ({by}) " if by else "max "
        return [
            {"refId": "A", "expr": f"{grouped}(billfleet_{name}{labels})", "legendFormat": legend}
        ]
    targets = []
    for ref, quantile in zip("AB", QUANTILES, strict=True):
        chosen = labels.removesuffix("}") + "," if labels else "{"
        series = f'billfleet_{name}{chosen}quantile="{quantile}"}}'
        legend_of_it = f"p{float(quantile) * 100:g} {legend}"
        targets.append(
            {"refId": ref, "expr": f"max by ({by}) ({series})", "legendFormat": legend_of_it}
        )
    return targets


def _unit(name: Name, metric: MetricDef) -> str:
    if metric.kind == "timer":
        # The exporter turns statsd's milliseconds into seconds.
        return "s"
    if metric.kind == "counter":
        return "ops"
    return {"_s": "s", "ms": "ms"}.get(name[-2:], "short")


def _widget(number: int, name: Name) -> dict[str, Any]:
    metric = METRICS[name]
    watching = alarms_of(name)
    lines = [
        {"label": f"{one.name}: {one.runbook}", "value": one.threshold}
        for one in watching
        if not one.where
    ]
    return {
        "type": "metric",
        "x": number % CLOUDWATCH_COLUMNS * CLOUDWATCH_WIDTH,
        "y": number // CLOUDWATCH_COLUMNS * CLOUDWATCH_HEIGHT,
        "width": CLOUDWATCH_WIDTH,
        "height": CLOUDWATCH_HEIGHT,
        "properties": {
            "title": f"{name.replace('_', ' ')}: {metric.says}",
            "view": "timeSeries",
            "stacked": False,
            "region": "${AWS::Region}",
            "period": PERIOD_S,
            "metrics": [[{"expression": _insights(name, metric), "id": "q1", "label": ""}]],
            **({"annotations": {"horizontal": lines}} if lines else {}),
        },
    }


def _insights(name: Name, metric: MetricDef) -> str:
    statistic = {"counter": "SUM", "gauge": "MAX", "timer": "AVG"}[metric.kind]
    # Made of constants of the registry, and sent to CloudWatch, not to a database.
    query = f'SELECT {statistic}("{cloudwatch_name(name)}") FROM "{NAMESPACE}"'  # noqa: S608 - as said
    return query + (f" GROUP BY {', '.join(metric.tags)}" if metric.tags else "")


def texts() -> dict[str, str]:
    """The files and what they should say."""
    made = {"grafana.json": grafana(), "cloudwatch.json": cloudwatch()}
    return {name: json.dumps(one, indent=2) + "\n" for name, one in made.items()}


def main(arguments: list[str]) -> int:
    """Write the files, or check them."""
    stale = [
        name
        for name, said in texts().items()
        if not (FOLDER / name).is_file() or (FOLDER / name).read_text() != said
    ]
    if "--check" in arguments:
        for name in stale:
            sys.stderr.write(f"ops/dashboards/{name} is not current: run `make dashboards`\n")
        return 1 if stale else 0
    FOLDER.mkdir(exist_ok=True)
    for name in stale:
        (FOLDER / name).write_text(texts()[name])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
