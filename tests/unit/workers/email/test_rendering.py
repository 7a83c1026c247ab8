"""Templates: each renders for a person, in two forms, and says nothing that it was not given."""

from html.parser import HTMLParser

import pytest

from billfleet_ops.mail_people import FACTS
from billfleet_workers.handlers.email.formats import Formats
from billfleet_workers.handlers.email.plans import HOUSE_POLICY
from billfleet_workers.handlers.email.rendering import FOLDER, TemplateRefused, render
from billfleet_workers.handlers.email.templates import TEMPLATES
from mail_samples import MARKETED, READER, SAMPLES, sample

PIECES = {"layout", "pieces"}


class Page(HTMLParser):
    """The tags of a page, as a mail program meets them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_makes_a_page_with_inlined_styles_and_a_text_that_says_the_same(
    name: str,
) -> None:
    shown = sample(name)
    cells = [attributes for tag, attributes in Page(shown.html).tags if tag == "td"]
    assert cells
    assert all(attributes.get("style") for attributes in cells)
    assert "prefers-color-scheme: dark" in shown.html
    for left_over in ("{{", "{%", "None", "Undefined"):
        assert left_over not in shown.html
        assert left_over not in shown.text
    assert "<" not in shown.text
    assert "\n" not in shown.subject
    for link in (attributes["href"] for tag, attributes in Page(shown.html).tags if tag == "a"):
        assert link is not None
        assert link in shown.text


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_variable_that_is_missing_is_named(name: str) -> None:
    spec = TEMPLATES[name]
    for variable in spec.variables:
        less = {key: value for key, value in SAMPLES[name].items() if key != variable}
        with pytest.raises(TemplateRefused, match=variable):
            render(spec, READER, less)


def test_every_file_of_the_folder_belongs_to_a_template_and_each_has_both_forms() -> None:
    files = {path.name for path in FOLDER.glob("*.j2")}
    wanted = {f"{name}.{form}.j2" for name in TEMPLATES for form in ("html", "txt")}
    assert files - wanted == {"layout.html.j2", "layout.txt.j2", "pieces.html.j2"}
    assert wanted <= files
    assert set(SAMPLES) == set(TEMPLATES)


def test_what_a_person_is_called_is_escaped_in_the_page() -> None:
    """R54."""
    shown = render(TEMPLATES["marketing"], MARKETED, {**SAMPLES["marketing"], "body": "<b>x</b>"})
    assert "<b>x</b>" not in shown.html
    assert "&lt;b&gt;x&lt;/b&gt;" in shown.html


@pytest.mark.parametrize(
    ("amount_minor", "currency", "locale", "shown"),
    [
        (188950, "USD", "en-US", "$1,889.50"),
        (188950, "EUR", "de-DE", "1.889,50\xa0€"),
        (1889, "JPY", "en-US", "¥1,889"),
        (1889500, "KWD", "en-US", "KWD\xa01,889.500"),
        (10000, "IQD", "en-US", "IQD\xa010.000"),
        (123, "HUF", "en-US", "HUF\xa01.23"),
        (188950, "USD", "xx-nowhere", "$1,889.50"),
    ],
)
def test_money_has_the_decimals_of_iso_4217_whatever_the_display_library_thinks(
    amount_minor: int, currency: str, locale: str, shown: str
) -> None:
    """R15, R54: amounts by the reader's locale, digits by the standard."""
    assert Formats(locale).money(amount_minor, currency) == shown


def test_an_instant_is_shown_as_the_day_that_it_is_where_the_reader_is() -> None:
    just_after_midnight = "2026-03-02T04:30:00+00:00"
    assert Formats("en-US", "America/Chicago").day(just_after_midnight) == "March 1, 2026"
    assert Formats("de-DE", "Europe/Berlin").day(just_after_midnight) == "2. März 2026"


def test_the_facts_that_a_tenant_may_choose_are_those_of_the_command() -> None:
    assert set(FACTS) == set(HOUSE_POLICY)
