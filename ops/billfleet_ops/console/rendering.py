"""The templates' environment: escaping always on, undefined names refused, and words for values.

`app` makes it once. Filters spell durations, moments, money and counts as the commands do.
"""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from billfleet_ops.console import assets, charts
from billfleet_ops.output import duration
from billfleet_ops.why_words import moment, money
from billfleet_workers.runtime.backlog import DRAIN_S_MAX

UNITS = ("B", "KiB", "MiB", "GiB")


def environment() -> Environment:
    """All templates of the console."""
    made = Environment(
        loader=PackageLoader("billfleet_ops.console"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(
        duration=duration,
        drain=drain,
        moment=moment,
        ago=ago,
        money=money,
        count=count,
        size=size,
        short=short_type,
        laid_out=laid_out,
        rate=rate,
    )
    made.globals.update(
        sparkline=charts.sparkline,
        chart=charts.chart,
        diff_kind=diff_kind,
        asset=assets.address,
        counted=count,
        rated=rate,
        drained=drain,
    )
    return made


def drain(seconds: float) -> str:
    """A drain time; what is not finished at all drains never."""
    if seconds >= DRAIN_S_MAX:
        return "never"
    return "-" if seconds == 0 else duration(seconds)


def ago(at: datetime | None, now: datetime) -> str:
    """How long ago."""
    return "-" if at is None else f"{duration(max(0.0, (now - at).total_seconds()))} ago"


def count(number: float | None) -> str:
    """A number with its thousands apart."""
    return "-" if number is None else f"{number:,.0f}"


def rate(per_s: float) -> str:
    """A rate, with as many digits as say something."""
    if per_s == 0:
        return "0/s"
    return f"{per_s:,.0f}/s" if per_s >= 10 else f"{per_s:.1f}/s"


def size(bytes_count: float) -> str:
    """Bytes for people."""
    value = float(bytes_count)
    for unit in UNITS[:-1]:
        if value < 1024:
            return f"{value:.0f} {unit}"
        value /= 1024
    return f"{value:.1f} {UNITS[-1]}"


def short_type(contract: str) -> str:
    """`billing.rebill_accounts.v1`."""
    return contract.removeprefix("billfleet.") or "unknown"


def laid_out(value: Any) -> str:
    """JSON over several lines; text that is no JSON as it is."""
    if isinstance(value, Mapping | list):
        return json.dumps(value, indent=2, ensure_ascii=False, default=str)
    try:
        return json.dumps(json.loads(value), indent=2, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        return str(value)


def diff_kind(line: str) -> str:
    """How a line of a difference is coloured."""
    if line.startswith(("---", "+++", "@@")):
        return "where"
    return {"+": "added", "-": "removed"}.get(line[:1], "same")
