"""A report as a page that a shop owner reads: figures, charts, and what they mean.

The handler calls it. One file that needs nothing else: styles and charts are inside, nothing is
loaded and nothing runs. What was typed by customers is escaped. Jinja is loaded on first use.
"""

from datetime import date, datetime
from importlib.resources import files
from typing import Any, Final

from billfleet_workers.dates import zone_of
from billfleet_workers.handlers.analytics.sketching import AMOUNTS_ERROR, CUSTOMERS_ERROR
from billfleet_workers.handlers.analytics.wall_clock import day_start
from billfleet_workers.handlers.reports.charts import (
    BLUE,
    RED,
    TEAL,
    bars_beside_names,
    bars_over_time,
)
from billfleet_workers.handlers.reports.figures import BusinessReport, CurrencyFigures
from billfleet_workers.handlers.reports.periods import ONE_DAY, before, name_of
from billfleet_workers.handlers.reports.sales import Sales
from billfleet_workers.money import exponent, format_minor

EXACT_CUSTOMERS_MAX: Final = 100
"""So few customers are counted, not estimated."""
SEGMENTS: Final = {
    "champions": ("Champions", "bought lately, and often"),
    "loyal": ("Loyal", "come back regularly"),
    "new": ("New or rare", "bought lately, but seldom"),
    "promising": ("Promising", "were here not long ago, but seldom"),
    "at_risk": ("At risk", "used to come often, and have stopped"),
    "hibernating": ("Hibernating", "came seldom, and long ago"),
}
RISKS: Final = {
    "low": ("Low", "within twice their usual time between purchases"),
    "medium": ("Medium", "more than twice their usual time"),
    "high": ("High", "more than three times their usual time"),
    "unknown": ("Unknown", "nobody has bought twice yet"),
}
RISK_COLOURS: Final = {"low": TEAL, "medium": "#c98a2b", "high": RED, "unknown": "#8a929c"}


def to_html(report: BusinessReport) -> bytes:
    """The page, in UTF-8. The same report gives the same bytes."""
    import jinja2

    environment = jinja2.Environment(
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"money": format_minor, "number": _number, "percent": _percent}
    source = files(__package__).joinpath("page.html").read_text("utf-8")
    return environment.from_string(source).render(_words(report)).encode()


def _words(report: BusinessReport) -> dict[str, Any]:
    """Everything that the template shows, spelt."""
    wanted = report.wanted
    return {
        "report": report,
        "wanted": wanted,
        "days": _days(wanted.first_day, wanted.last_day),
        "is_over": wanted.as_of >= day_start(wanted.last_day + ONE_DAY, wanted.time_zone),
        "as_of": _instant(wanted.as_of, wanted.time_zone),
        "previous_name": name_of(wanted.period, before(wanted.period, wanted.first_day)),
        "sold": [_sold(one, report) for one in report.sales],
        "shows_brands": any(one.brand_id for one in report.insights.stores),
        "moneys": [_money(one) for one in report.currencies],
        "activities": report.activities,
        "customers_error": CUSTOMERS_ERROR,
        "amounts_error": AMOUNTS_ERROR,
        "exact_max": EXACT_CUSTOMERS_MAX,
        "segments": SEGMENTS,
        "risks": RISKS,
        "segment_chart": _segment_chart(report),
        "risk_chart": _risk_chart(report),
        "cohort_months": max((len(one.returned) for one in report.insights.cohorts), default=0),
    }


def _sold(one: Sales, report: BusinessReport) -> dict[str, Any]:
    bought = [
        each
        for each in report.activities
        if (each.name, each.currency) == (report.wanted.policy.purchase, one.currency)
    ]
    return {
        "said": one,
        "currency": one.currency,
        "change": _change(one.previous_amount_minor, one.amount_minor),
        "bought": bought[0] if bought else None,
        "chart": _sales_chart(one) if len(one.days) > 1 else None,
    }


def _sales_chart(one: Sales) -> str:
    bars = [
        (
            f"{each.day.day} {each.day:%b}",
            float(each.amount_minor),
            format_minor(each.amount_minor, one.currency),
        )
        for each in one.days
    ]
    scale = 10 ** exponent(one.currency)
    name = f"Sales by day in {one.currency}"
    return bars_over_time(name, [("Sales", bars)], shown=lambda value: f"{value / scale:,.0f}")


def _change(before_minor: int, now_minor: int) -> float | None:
    return (now_minor - before_minor) / before_minor if before_minor > 0 else None


def _money(one: CurrencyFigures) -> dict[str, Any]:
    collection = one.collection
    return {
        "said": one,
        "currency": one.currency,
        "change": _change(one.previous_revenue_minor, one.revenue_minor),
        "collection_rate": _share(collection.paid_minor, collection.charged_minor)
        if collection
        else None,
        "recovery_rate": _share(collection.recovered_minor, collection.declined_minor)
        if collection
        else None,
        "chart": _money_chart(one) if len(one.days) > 1 and _has_moved(one) else None,
        "movement_chart": _movement_chart(one),
    }


def _has_moved(one: CurrencyFigures) -> bool:
    return any(day.revenue_minor or day.collected_minor for day in one.days)


def _money_chart(one: CurrencyFigures) -> str:
    def bars(figure: str) -> list[tuple[str, float, str]]:
        return [
            (
                f"{day.day.day} {day.day:%b}",
                float(getattr(day, figure)),
                format_minor(getattr(day, figure), one.currency),
            )
            for day in one.days
        ]

    scale = 10 ** exponent(one.currency)
    return bars_over_time(
        f"Revenue and money received by day in {one.currency}",
        [("Revenue", bars("revenue_minor")), ("Received", bars("collected_minor"))],
        shown=lambda value: f"{value / scale:,.0f}",
    )


def _movement_chart(one: CurrencyFigures) -> str | None:
    movement = one.movement
    if movement is None:
        return None
    steps = (
        ("At the start", movement.before_minor, BLUE),
        ("New", movement.new_minor, TEAL),
        ("Grown", movement.expansion_minor, TEAL),
        ("Come back", movement.reactivation_minor, TEAL),
        ("Shrunk", -movement.contraction_minor, RED),
        ("Lost", -movement.churn_minor, RED),
        ("At the end", movement.after_minor, BLUE),
    )
    bars = [
        (
            name,
            float(abs(minor)),
            ("+" if colour == TEAL and minor else "") + format_minor(minor, one.currency),
        )
        for name, minor, colour in steps
    ]
    colours = [colour for _, _, colour in steps]
    return bars_beside_names(f"Recurring revenue in {one.currency}", bars, colours=colours)


def _segment_chart(report: BusinessReport) -> str | None:
    found = {one.segment: one for one in report.insights.segments}
    bars = [
        (title, float(found[name].customers), _number(found[name].customers))
        for name, (title, _) in SEGMENTS.items()
        if name in found
    ]
    return bars_beside_names("Customers by segment", bars) if bars else None


def _risk_chart(report: BusinessReport) -> str | None:
    found = {one.risk: one for one in report.insights.risks}
    names = [name for name in RISKS if name in found]
    bars = [
        (RISKS[name][0], float(found[name].customers), _number(found[name].customers))
        for name in names
    ]
    if not bars:
        return None
    colours = [RISK_COLOURS[name] for name in names]
    return bars_beside_names("Customers by risk of leaving", bars, colours=colours)


def _days(first: date, last: date) -> str:
    if first == last:
        return name_of("day", first)
    if (first.year, first.month) == (last.year, last.month):
        return f"{first.day} to {last.day} {last:%B %Y}"
    return f"{name_of('day', first)} to {name_of('day', last)}"


def _instant(at: datetime, time_zone: str) -> str:
    shown = at.astimezone(zone_of(time_zone))
    return f"{name_of('day', shown.date())}, {shown:%H:%M} ({time_zone})"


def _number(value: int) -> str:
    return f"{value:,}"


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{share * 100:.1f} %"


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
