"""A report for programs: as JSON, and as one long table in CSV. Pure.

The handler writes both beside the page, made of the same values. Amounts are minor units with their
currency, days are ISO dates; the same report gives the same bytes.
"""

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import asdict
from datetime import date, datetime
from typing import Any

from billfleet_workers.handlers.reports.figures import BusinessReport

HEADER = ("section", "item", "day", "figure", "value", "currency")
Line = tuple[str, str, str, str, str, str]


def to_json(report: BusinessReport) -> bytes:
    """The report as one JSON document."""
    wanted = report.wanted
    said = {
        "title": wanted.title,
        "tenant": wanted.tenant.tenant_id,
        "time_zone": wanted.time_zone,
        "period": wanted.period,
        "first_day": wanted.first_day,
        "last_day": wanted.last_day,
        "as_of": wanted.as_of,
        "groups_below_are_hidden": wanted.policy.group_min,
        "currencies": [asdict(one) for one in report.currencies],
        "sales": [asdict(one) for one in report.sales],
        "points": [asdict(one) for one in report.points],
        "activities": [asdict(one) for one in report.activities],
        "customers": asdict(report.insights),
    }
    return json.dumps(said, indent=2, default=_plain, ensure_ascii=False).encode() + b"\n"


def to_csv(report: BusinessReport) -> bytes:
    """The report as a table: one figure a line."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(HEADER)
    writer.writerows(_lines(report))
    return out.getvalue().encode()


def _lines(report: BusinessReport) -> Iterator[Line]:
    for money in report.currencies:
        for name in ("revenue_minor", "previous_revenue_minor", "collected_minor"):
            yield "money", "", "", name, str(getattr(money, name)), money.currency
        for day in money.days:
            for name in ("revenue_minor", "collected_minor"):
                value = str(getattr(day, name))
                yield "money", "", day.day.isoformat(), name, value, money.currency
        for section, one in (("recurring", money.movement), ("collection", money.collection)):
            if one is not None:
                yield from _each(section, "", asdict(one), money.currency)
    yield from _sales(report)
    for points in report.points:
        yield from _each("points", points.programme_id, asdict(points), "")
    for activity in report.activities:
        yield from _each("activity", activity.name, asdict(activity), activity.currency)
    yield from _customers(report)


def _sales(report: BusinessReport) -> Iterator[Line]:
    for sales in report.sales:
        yield from _each("sales", "", asdict(sales), sales.currency)
        for sold in sales.days:
            value = str(sold.amount_minor)
            yield "sales", "", sold.day.isoformat(), "amount_minor", value, sales.currency


def _customers(report: BusinessReport) -> Iterator[Line]:
    currency, insights = report.wanted.tenant.currency, report.insights
    for segment in insights.segments:
        yield from _each("segment", segment.segment, asdict(segment), currency)
    for risk in insights.risks:
        yield from _each("churn_risk", risk.risk, asdict(risk), currency)
    for store in insights.stores:
        yield from _each("store", store.store_id, asdict(store), currency)
    for cohort in insights.cohorts:
        for number, customers in enumerate((cohort.customers, *cohort.returned)):
            shown = "" if customers is None else str(customers)
            yield "cohort", f"month {number}", cohort.month.isoformat(), "customers", shown, ""


def _each(section: str, item: str, said: dict[str, Any], currency: str) -> Iterator[Line]:
    for name, value in said.items():
        if isinstance(value, int):
            yield section, item, "", name, str(value), currency if name.endswith("_minor") else ""


def _plain(value: object) -> str:
    if isinstance(value, date | datetime):
        return value.isoformat()
    return str(value)
