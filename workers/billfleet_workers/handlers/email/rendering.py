"""A template, a reader and variables become a subject, a page and a plain text.

The handler calls it, outside of any transaction; so do previews and the benchmark. What a sender
writes into a variable is data: it is escaped, never read as a template, and the sandbox holds even
if a template were wrong (R54). It must not know addresses or the mail service.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

import css_inline
from jinja2 import FileSystemLoader, StrictUndefined, Template, TemplateError
from jinja2.sandbox import SandboxedEnvironment
from markupsafe import Markup

from billfleet_workers.handlers.email.formats import Formats
from billfleet_workers.handlers.email.templates import TEMPLATES, TemplateSpec

FOLDER: Final = Path(__file__).parent / "templates"
MASK: Final = "•••••"
SUBJECT_CHARS_MAX: Final = 200

_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f\u2028\u2029]")
_WEB_ADDRESS: Final = re.compile(r"https?://[^\s/?#]+[^\s]*", re.IGNORECASE)
_BLANK_LINES: Final = re.compile(r"\n{3,}")
_BETWEEN_TAGS: Final = re.compile(r">\s*\n\s*<")


class TemplateRefused(Exception):
    """The mail can't be made of what was given: no such template, a variable that is missing,
    not what it should be, or would break out of a header. Correct the sender.
    """


@dataclass(frozen=True, slots=True)
class Rendered:
    """A mail's content, without an address on it."""

    subject: str
    html: str
    text: str


@dataclass(frozen=True, slots=True)
class Reader:
    """Who will read it, as far as the content is concerned."""

    name: str
    locale: str
    time_zone: str
    tenant_name: str
    unsubscribe_url: str | None = None


@dataclass(frozen=True, slots=True)
class _Compiled:
    subject: Template
    html: Template
    text: Template


def spec_of(name: str) -> TemplateSpec:
    """The template of this name.

    Raises:
        TemplateRefused: there is none.
    """
    try:
        return TEMPLATES[name]
    except KeyError:
        raise TemplateRefused(f"there is no mail template {name}") from None


def check(spec: TemplateSpec, variables: Mapping[str, Any]) -> None:
    """Whether a template can be filled with these.

    Raises:
        TemplateRefused: one is missing, unknown, or no web address where one is needed.
    """
    missing = sorted(spec.variables - variables.keys())
    unknown = sorted(variables.keys() - spec.variables - spec.optional)
    if missing:
        raise TemplateRefused(f"template {spec.name} lacks the variable {', '.join(missing)}")
    if unknown:
        raise TemplateRefused(f"template {spec.name} has no variable {', '.join(unknown)}")
    for name in sorted(spec.links & variables.keys()):
        if _WEB_ADDRESS.fullmatch(str(variables[name])) is None:
            raise TemplateRefused(f"variable {name} of template {spec.name} is no web address")


def render(spec: TemplateSpec, reader: Reader, variables: Mapping[str, Any]) -> Rendered:
    """Fill the template.

    Raises:
        TemplateRefused: a variable is missing or not what the template makes of it.
    """
    check(spec, variables)
    compiled = _compiled(spec.name)
    context = {
        **dict.fromkeys(spec.optional),
        **variables,
        "fmt": Formats(reader.locale, reader.time_zone),
        "recipient_name": reader.name,
        "tenant_name": reader.tenant_name,
        "unsubscribe_url": reader.unsubscribe_url,
    }
    if "body" in spec.variables:
        context["paragraphs"] = _paragraphs(str(variables["body"]))
    try:
        subject = compiled.subject.render(context)
        if _CONTROL.search(subject):
            raise TemplateRefused(f"the subject of {spec.name} would hold a line break")
        page = compiled.html.render(context, subject=subject)
        text = compiled.text.render(context)
    except (TemplateError, TypeError, ValueError, ArithmeticError) as error:
        raise TemplateRefused(f"template {spec.name} can't be filled: {error}") from error
    html = _inliner().inline(_BETWEEN_TAGS.sub("><", page)).replace("</head>", _live_head(), 1)
    text = _BLANK_LINES.sub("\n\n", text).strip() + "\n"
    return Rendered(subject[:SUBJECT_CHARS_MAX], html, text)


def masked(spec: TemplateSpec, variables: Mapping[str, Any]) -> dict[str, Any]:
    """The variables for the copy that is kept: what opens a door is not in it."""
    return {
        name: (f"https://{MASK}/" if name in spec.links else MASK)
        if name in spec.secrets
        else value
        for name, value in variables.items()
    }


def _paragraphs(body: str) -> list[str]:
    return [part.strip() for part in re.split(r"\n\s*\n", body) if part.strip()]


def _money(row: Any, fmt: Formats) -> str:
    """Filter: the amount of anything that has `amount_minor` and `currency`."""
    return fmt.money(row["amount_minor"], row["currency"])


@lru_cache(maxsize=2)
def _environment(*, is_html: bool) -> SandboxedEnvironment:
    environment = SandboxedEnvironment(
        loader=FileSystemLoader(FOLDER),
        autoescape=is_html,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters["money"] = _money
    environment.globals["inlined_css"] = _css("styles.css")
    return environment


def _css(name: str) -> Markup:
    return Markup((FOLDER / name).read_text("utf-8"))  # noqa: S704  # a file of this package


@lru_cache(maxsize=1)
def _live_head() -> str:
    """Rules that can't be inlined, since they depend on where the mail is read."""
    return f"<style>{_css('live.css')}</style></head>"


@lru_cache(maxsize=64)
def _compiled(name: str) -> _Compiled:
    plain = _environment(is_html=False)
    return _Compiled(
        plain.from_string(TEMPLATES[name].subject),
        _environment(is_html=True).get_template(f"{name}.html.j2"),
        plain.get_template(f"{name}.txt.j2"),
    )


@lru_cache(maxsize=1)
def _inliner() -> css_inline.CSSInliner:
    return css_inline.CSSInliner(load_remote_stylesheets=False)
