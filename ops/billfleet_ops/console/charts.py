"""Charts as SVG, drawn on the server: sparklines for tables, and larger ones with a scale.

Pages put them in as they are. Colours come from the style sheet, so that light and dark work; each
chart says in words what it shows, for those who hear the page.
"""

from collections.abc import Callable, Sequence
from html import escape

from markupsafe import Markup

WIDTH, HEIGHT = 120, 28
LARGE_WIDTH, LARGE_HEIGHT = 520, 140
LABELS_WIDTH = 64
SPARK_POINTS_MAX = 40


def sparkline(values: Sequence[float], what: str) -> Markup:
    """A small line without axes."""
    if len(values) < 2:
        return Markup("")
    points = _points(_thinned(values), max(*values, 1e-9), WIDTH, HEIGHT, left=0)
    label = escape(f"{what}: from {values[0]:g} to {values[-1]:g}, at most {max(values):g}")
    return Markup(  # noqa: S704 - made of numbers and an escaped label
        f'<svg class="spark" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"'
        f' role="img" aria-label="{label}"><polyline points="{points}"/></svg>'
    )


def chart(values: Sequence[float], what: str, *, shown: Callable[[float], str]) -> Markup:
    """A large line with its scale; `shown` spells a value."""
    top = max(*values, 0.0) if len(values) > 1 else 0.0
    heading = escape(what)
    if len(values) < 2:
        return Markup(f'<p class="quiet">{heading}: not enough seen yet.</p>')  # noqa: S704 - escaped
    scale = top or 1.0
    points = _points(values, scale, LARGE_WIDTH, LARGE_HEIGHT, left=LABELS_WIDTH)
    now, most = escape(shown(values[-1])), escape(shown(top))
    bottom = LARGE_HEIGHT - 2
    area = f"{LABELS_WIDTH},{bottom} {points} {LARGE_WIDTH},{bottom}"
    return Markup(  # noqa: S704 - made of numbers and escaped texts
        f'<figure class="chart"><figcaption>{heading} <strong>{now}</strong></figcaption>'
        f'<svg viewBox="0 0 {LARGE_WIDTH} {LARGE_HEIGHT}" role="img"'
        f' aria-label="{heading}: now {now}, at most {most}">'
        f'<line x1="{LABELS_WIDTH}" y1="2" x2="{LARGE_WIDTH}" y2="2" class="grid"/>'
        f'<line x1="{LABELS_WIDTH}" y1="{bottom}" x2="{LARGE_WIDTH}" y2="{bottom}" class="grid"/>'
        f'<text x="{LABELS_WIDTH - 6}" y="14" text-anchor="end">{most}</text>'
        f'<text x="{LABELS_WIDTH - 6}" y="{bottom}" text-anchor="end">0</text>'
        f'<polygon points="{area}"/><polyline points="{points}"/></svg></figure>'
    )


def _thinned(values: Sequence[float]) -> Sequence[float]:
    """Few enough for a small line; of neighbours the highest stays, so that no peak is lost."""
    size = -(-len(values) // SPARK_POINTS_MAX)
    return [max(values[start : start + size]) for start in range(0, len(values), size)]


def _points(values: Sequence[float], top: float, width: int, height: int, *, left: int) -> str:
    step = (width - left) / (len(values) - 1)
    inner = height - 4
    return " ".join(
        f"{left + step * number:.1f},{2 + inner * (1 - min(value / top, 1)):.1f}"
        for number, value in enumerate(values)
    )
