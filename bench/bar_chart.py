"""A horizontal bar chart as SVG, by hand: small, readable in light and dark, no library.

`consume.py` and `produce.py` draw their result with it. It knows nothing of what is measured.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

ROW_PX = 26
LEFT_PX = 210
BARS_PX = 480
RIGHT_PX = 90
TOP_PX = 56
COLOURS = {"ours": "#1f6feb", "dedupes": "#8250df", "other": "#8c959f"}


@dataclass(frozen=True)
class Bar:
    """One bar. Smaller is better."""

    name: str
    value: float
    is_ours: bool = False
    dedupes: bool = False

    @property
    def colour(self) -> str:
        """Ours, one that dedupes too, or another."""
        return COLOURS["ours" if self.is_ours else "dedupes" if self.dedupes else "other"]


def draw(title: str, bars: Sequence[Bar]) -> str:
    """The chart. The scale is logarithmic, because the contestants lie two orders apart."""
    height = TOP_PX + ROW_PX * len(bars) + 16
    width = LEFT_PX + BARS_PX + RIGHT_PX
    low = math.log10(min(bar.value for bar in bars) / 2)
    high = math.log10(max(bar.value for bar in bars))
    scale = BARS_PX / (high - low)
    opening = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" role="img" font-family="system-ui, sans-serif" '
        'font-size="13">'
    )
    heading = '<text x="16" y="24" font-size="15" font-weight="600" fill="#1f2328">'
    parts = [
        opening,
        f"<title>{escape(title)}</title>",
        f'<rect width="{width}" height="{height}" rx="8" fill="#ffffff"/>',
        f"{heading}{escape(title)}</text>",
        _legend(),
    ]
    for number, bar in enumerate(bars):
        length = max(2.0, (math.log10(bar.value) - low) * scale)
        parts.append(_row(TOP_PX + number * ROW_PX, bar, length))
    return "\n".join([*parts, "</svg>"]) + "\n"


def _row(top: int, bar: Bar, length: float) -> str:
    weight = "700" if bar.is_ours else "400"
    baseline = top + 15
    return (
        f'<text x="{LEFT_PX - 10}" y="{baseline}" text-anchor="end" fill="#1f2328" '
        f'font-weight="{weight}">{escape(bar.name)}</text>'
        f'<rect x="{LEFT_PX}" y="{top + 2}" width="{length:.1f}" height="{ROW_PX - 8}" rx="3" '
        f'fill="{bar.colour}"/>'
        f'<text x="{LEFT_PX + length + 8:.1f}" y="{baseline}" fill="#1f2328" '
        f'font-weight="{weight}">{bar.value:.3f}</text>'
    )


def _legend() -> str:
    words = (("billfleet (dedupes)", "ours"), ("dedupes", "dedupes"), ("dedupes nothing", "other"))
    parts = []
    for number, (word, kind) in enumerate(words):
        left = 16 + number * 160
        parts.append(
            f'<rect x="{left}" y="34" width="11" height="11" rx="2" fill="{COLOURS[kind]}"/>'
            f'<text x="{left + 17}" y="44" fill="#59636e" font-size="12">{word}</text>'
        )
    return "".join(parts)
