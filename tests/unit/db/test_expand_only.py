"""Migrations after the first release only expand: the version before lives with the new schema."""

import re
from pathlib import Path

import pytest

SQL = Path(__file__).parents[3] / "db" / "migrations" / "sql"
BASELINE = "0002"
CONTRACTING = re.compile(
    r"\bDROP\s+(?:TABLE|COLUMN|SCHEMA|VIEW)\b|\bRENAME\b|\bALTER\s+COLUMN\s+\w+\s+(?:SET\s+NOT\s+NULL|"
    r"TYPE|SET\s+DATA)|\bADD\s+COLUMN\s+(?:IF\s+NOT\s+EXISTS\s+)?\w+[^,;]*NOT\s+NULL(?![^,;]*DEFAULT)",
    re.IGNORECASE,
)
FILES = sorted(path for path in SQL.rglob("*.sql") if path.parent.name > BASELINE)


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_migration_takes_nothing_away_that_the_version_before_uses(path: Path) -> None:
    without_comments = re.sub(r"--[^\n]*", "", path.read_text())
    found = CONTRACTING.search(without_comments)
    assert found is None, f"{path} contracts the schema"


def test_the_rule_knows_what_takes_away_and_what_adds() -> None:
    for taken in (
        "ALTER TABLE a DROP COLUMN b",
        "ALTER TABLE a RENAME TO b",
        "ALTER TABLE a ALTER COLUMN b SET NOT NULL",
        "ALTER TABLE a ADD COLUMN b integer NOT NULL",
    ):
        assert CONTRACTING.search(taken), taken
    for added in (
        "ALTER TABLE a ADD COLUMN b integer NOT NULL DEFAULT 0",
        "ALTER TABLE a ADD COLUMN b integer",
        "CREATE TABLE a (b integer NOT NULL)",
    ):
        assert not CONTRACTING.search(added), added
