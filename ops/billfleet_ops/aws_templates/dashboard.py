"""The dashboard of an installation: queues, dead letters, outcomes, and the latest errors.

The observability template has it. It shows what the alarms are about, and decides nothing.
"""

import json
from collections.abc import Iterator, Sequence

from billfleet_contracts import QUEUES
from billfleet_ops.alarms import NAMESPACE
from billfleet_ops.aws_templates.document import Part, Tree, ref, sub

WIDE, HIGH = 12, 6


def dashboard() -> Part:
    """The dashboard as a resource."""
    body = json.dumps({"widgets": list(_widgets())})
    return Part(
        "Dashboard",
        {
            "Type": "AWS::CloudWatch::Dashboard",
            "Properties": {"DashboardName": ref("Stack"), "DashboardBody": sub(body)},
        },
    )


def _widgets() -> Iterator[Tree]:
    names = [spec.name for spec in QUEUES.values()]
    letters = [spec.dlq_name for spec in QUEUES.values()]
    visible = "ApproximateNumberOfMessagesVisible"
    yield _lines(0, 0, "Waiting", visible, names)
    yield _lines(1, 0, "Dead letters", visible, letters)
    yield _lines(0, 1, "Oldest, s", "ApproximateAgeOfOldestMessage", names)
    yield _query(1, 1, "Deliveries by outcome", "deliveries", "SUM", "outcome")
    yield _query(0, 2, "Seconds until empty", "drain_s", "MAX", "queue")
    yield _query(1, 2, "Handler, ms", "handle_ms", "AVG", "queue")
    yield {
        "type": "log",
        "x": 0,
        "y": 3 * HIGH,
        "width": 2 * WIDE,
        "height": HIGH,
        "properties": {
            "region": "${AWS::Region}",
            "title": "Errors",
            "view": "table",
            "query": "SOURCE '/billfleet/${Stack}' | fields @timestamp, event, queue, error"
            " | filter level in ['error', 'critical'] | sort @timestamp desc | limit 50",
        },
    }


def _lines(column: int, row: int, title: str, metric: str, queues: Sequence[str]) -> Tree:
    series = [["AWS/SQS", metric, "QueueName", f"${{Stack}}-{name}"] for name in queues]
    return _widget(column, row, title, series, "Maximum")


def _query(column: int, row: int, title: str, metric: str, statistic: str, by: str) -> Tree:
    named = f'"billfleet_{metric}"'
    query = f'SELECT {statistic}({named}) FROM "{NAMESPACE}" GROUP BY {by}'  # noqa: S608 - of constants
    return _widget(column, row, title, [[{"expression": query, "id": "q", "label": ""}]], "Average")


def _widget(column: int, row: int, title: str, series: Sequence[object], statistic: str) -> Tree:
    return {
        "type": "metric",
        "x": column * WIDE,
        "y": row * HIGH,
        "width": WIDE,
        "height": HIGH,
        "properties": {
            "region": "${AWS::Region}",
            "title": title,
            "metrics": series,
            "stat": statistic,
            "period": 60,
        },
    }
