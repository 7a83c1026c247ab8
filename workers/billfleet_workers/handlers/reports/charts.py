"""Charts as inline SVG: bars over days, and bars beside names. No script, nothing loaded.

The page asks for them. pygal draws (loaded on first use); what it adds for its own scripts is taken
out, and its descriptions become titles, which browsers show when a bar is pointed at. The same
values give the same bytes.
"""

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final
from xml.etree.ElementTree import Element, tostring

if TYPE_CHECKING:
    from pygal.style import Style

BLUE: Final = "#2f5d8a"
TEAL: Final = "#2a8c82"
RED: Final = "#b4483c"
INK: Final = "#40464f"
FAINT: Final = "#d9dee5"
FONT: Final = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', sans-serif"
LABELS_MAX: Final = 8

Bar = tuple[str, float, str]
"""A name, a value, and what is shown for it."""


def bars_over_time(
    name: str, series: Sequence[tuple[str, Sequence[Bar]]], *, shown: Callable[[float], str]
) -> str:
    """Upright bars, one group per day; `shown` spells the values of the axis.

    Drawn twice: wide, and narrow for a phone, on which the letters of a wide one are too small.
    """
    wide = _over_time(name, series, shown, width=860, labels_max=LABELS_MAX, kind="over-time")
    narrow = _over_time(name, series, shown, width=380, labels_max=4, kind="over-time narrow")
    return wide + narrow


def _over_time(
    name: str,
    series: Sequence[tuple[str, Sequence[Bar]]],
    shown: Callable[[float], str],
    *,
    width: int,
    labels_max: int,
    kind: str,
) -> str:
    chart = _pygal().Bar(
        style=_style(BLUE, TEAL),
        **_frame(width=width, height=260),
        show_legend=len(series) > 1,
        legend_at_bottom=True,
        legend_at_bottom_columns=len(series),
        legend_box_size=10,
        spacing=4,
        margin_bottom=8,
        y_labels_major_count=4,
        show_minor_y_labels=False,
        value_formatter=shown,
        range=_range(value for _, bars in series for _, value, _ in bars),
    )
    days = [day for day, _, _ in series[0][1]]
    step = -(-len(days) // labels_max)
    chart.x_labels = days
    chart.x_labels_major = days[::step]
    chart.show_minor_x_labels = False
    for title, bars in series:
        chart.add(title, [{"value": value, "label": f"{day}: {said}"} for day, value, said in bars])
    return _drawn(chart, name, kind=kind)


def bars_beside_names(name: str, bars: Sequence[Bar], *, colours: Sequence[str] = ()) -> str:
    """Lying bars, the first on top, each with what is shown for it."""
    # pygal draws from the bottom up.
    upwards = list(zip(bars, colours or [BLUE] * len(bars), strict=True))[::-1]
    chart = _pygal().HorizontalBar(
        style=_style(BLUE),
        **_frame(width=400, height=24 + 30 * len(bars)),
        show_legend=False,
        show_y_labels=True,
        show_x_labels=False,
        show_x_guides=False,
        show_y_guides=False,
        print_values=True,
        print_values_position="top",
        spacing=6,
        range=_range((value for _, value, _ in bars), room=1.45),
    )
    chart.x_labels = [title for (title, _, _), _ in upwards]
    chart.add(
        name,
        [
            {
                "value": value,
                "label": f"{title}: {said}",
                "style": f"fill: {colour}",
                "formatter": _always(said),
            }
            for (title, value, said), colour in upwards
        ],
    )
    return _drawn(chart, name, kind="beside")


def _pygal() -> Any:
    """The library, without the importer for plugins that it puts before everybody's own."""
    import pygal

    sys.meta_path[:] = [
        importer for importer in sys.meta_path if type(importer).__name__ != "PluginImportFixer"
    ]
    return pygal


def _always(said: str) -> Callable[[float], str]:
    return lambda _: said


def _range(values: Any, room: float = 1.0) -> tuple[float, float]:
    """From nothing to the highest, or to the lowest where there is less than nothing."""
    listed = list(values)
    lowest, highest = min(listed, default=0), max(listed, default=0)
    return (min(lowest, 0) * room, max(highest, 0) * room or 1)


def _frame(*, width: int, height: int) -> dict[str, Any]:
    return {
        "js": [],
        "width": width,
        "height": height,
        "margin": 4,
        "rounded_bars": 2,
        "truncate_label": -1,
        "disable_xml_declaration": True,
        "no_data_text": "Nothing yet",
    }


def _style(*colours: str) -> "Style":
    from pygal.style import Style

    return Style(
        background="transparent",
        plot_background="transparent",
        foreground=INK,
        foreground_strong=INK,
        foreground_subtle=FAINT,
        guide_stroke_color=FAINT,
        major_guide_stroke_color=FAINT,
        guide_stroke_dasharray="0",
        major_guide_stroke_dasharray="0",
        opacity=1,
        opacity_hover=0.8,
        transition="0s",
        colors=colours,
        font_family=FONT,
        value_font_family=FONT,
        label_font_size=13,
        major_label_font_size=13,
        legend_font_size=13,
        value_font_size=13,
        value_colors=(INK,) * len(colours),
    )


def _drawn(chart: Any, name: str, *, kind: str) -> str:
    chart.uuid = "".join(char for char in name.lower() if char.isalnum())
    root: Element = chart.render_tree()
    root.set("class", f"pygal-chart {kind}")
    root.set("role", "img")
    root.set("aria-label", name)
    for parent in list(root.iter()):
        for child in list(parent):
            _tidy(parent, child)
    return tostring(root, encoding="unicode")


def _tidy(parent: Element, child: Element) -> None:
    """No comment, no script, no positions for scripts; what describes a bar becomes its title.

    The titles that pygal gives itself go: they are its own name, and raw values of the axes.
    """
    is_comment = callable(child.tag)
    if is_comment or child.tag in ("script", "title") or _is_for_scripts(child):
        parent.remove(child)
    elif child.tag == "desc":
        child.tag = "title"
        child.attrib.clear()
    elif child.tag == "text" and child.get("class") == "value":
        # Beside the bar's end and not across it.
        child.set("style", "text-anchor: start")
        child.set("dx", "8")


def _is_for_scripts(element: Element) -> bool:
    if element.tag == "desc":
        return element.get("class") != "label"
    return (
        "overlay" in (element.get("class") or "") and "text-overlay" not in element.attrib["class"]
    )
