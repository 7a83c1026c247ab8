"""What the guides claim is there: lines of the checklist, links, and the figures of capacity."""

import re
from pathlib import Path

import pytest

from billfleet_ops.capacity import Assumptions, PerMessage, capacity
from billfleet_ops.prices import prices

ROOT = Path(__file__).parents[3]
GUIDES = ROOT / "ops" / "guides"
CHECKLIST = (GUIDES / "production-checklist.md").read_text()
ITEMS = re.findall(r"^\| ([^|]+) \| `([^|]+)` \| `([^|`]+)` \|$", CHECKLIST, re.MULTILINE)


@pytest.mark.parametrize(("item", "line", "path"), ITEMS, ids=[item for item, _, _ in ITEMS])
def test_each_item_of_the_checklist_has_its_line(item: str, line: str, path: str) -> None:
    del item
    assert line in (ROOT / path).read_text()


def test_the_checklist_is_read_whole() -> None:
    assert len(ITEMS) > 20


@pytest.mark.parametrize("page", sorted(GUIDES.glob("*.md")), ids=lambda page: page.name)
def test_a_guide_links_only_to_files_that_exist(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_guide_says_of_a_billion_what_the_command_says() -> None:
    found = capacity(10**9, PerMessage(), Assumptions(), prices())
    page = (GUIDES / "capacity.md").read_text()
    assert f"{found.average_per_s:,.0f} a second on average, {found.peak_per_s:,.0f}" in page
    assert f"About {round(found.usd_per_day, -1):,.0f} dollars a day" in page
