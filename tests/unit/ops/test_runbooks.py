"""Every runbook is named once, exists, is listed, and tells no command that does not."""

import re
from pathlib import Path

import pytest
import typer
from pydantic import SecretStr

from billfleet_db.audit_sql import BOOKS, GUARDS
from billfleet_ops.cli import build
from billfleet_ops.runbooks import Runbook
from billfleet_workers.settings import Settings

ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "ops" / "runbooks"
PAGES = sorted(path for path in FOLDER.glob("*.md") if path.name != "README.md")
TEXTS = [*PAGES, FOLDER / "README.md", ROOT / "README.md"]


def _commands(command: object, path: str = "billfleet") -> set[str]:
    inner = getattr(command, "commands", {})
    return {path}.union(*(_commands(each, f"{path} {name}") for name, each in inner.items()))


def test_every_page_has_a_name_and_every_name_its_page() -> None:
    assert sorted(ROOT / page for page in Runbook) == PAGES


def test_the_list_of_runbooks_names_every_page() -> None:
    listed = (FOLDER / "README.md").read_text()
    assert [page.name for page in PAGES if f"({page.name})" not in listed] == []


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_names_only_commands_that_exist(page: Path) -> None:
    known = _commands(typer.main.get_command(build()))
    groups = {name.rsplit(" ", 1)[0] for name in known} - {"billfleet"}
    for said in re.findall(r"\bbillfleet(?: [a-z]+){1,2}", page.read_text()):
        words = said.split()
        if " ".join(words[:2]) in known:
            is_known = " ".join(words[:2]) not in groups or " ".join(words) in known
            assert is_known or len(words) == 2, said
        elif words[1] not in {"up", "on", "is", "and"}:
            pytest.fail(f"{page.name}: {said}")


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_names_only_settings_that_exist(page: Path) -> None:
    known = {f"BILLFLEET_{name.upper()}" for name in Settings.model_fields} | {"BILLFLEET_DEBUG"}
    said = set(re.findall(r"\bBILLFLEET_[A-Z_]+[A-Z]", page.read_text()))
    assert said <= known


@pytest.mark.parametrize("page", TEXTS, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_links_only_to_files_that_exist(page: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)\)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_page_of_settings_names_every_variable_with_its_default() -> None:
    page = (ROOT / "ops" / "SETTINGS.md").read_text()
    for name, field in Settings.model_fields.items():
        default = field.get_default()
        plain = default.get_secret_value() if isinstance(default, SecretStr) else default
        shown = "unset" if plain is None else f"`{plain}`"
        alias = field.validation_alias
        choices = getattr(alias, "choices", [alias or f"BILLFLEET_{name.upper()}"])
        assert f"| `{choices[0]}` | {shown} |" in page, name


def test_the_page_of_ledger_findings_names_every_check() -> None:
    page = (ROOT / Runbook.LEDGER_FINDING).read_text()
    assert [check for check in (*BOOKS, *GUARDS, "seals") if f"`{check}`" not in page] == []
