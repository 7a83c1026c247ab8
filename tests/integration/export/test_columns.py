"""Every column of every data set: text that customers choose is shielded, whatever it is called."""

from typing import Any

import asyncpg
import pytest

from billfleet_db import Database
from billfleet_db.datasets import DATASETS, Column, ColumnKind, Dataset, select
from billfleet_db.datasets.definition import ALL_FORMATS

EVIL = ("=1+1", "a;=1+1", "-x", "a b", "")
TYPES: dict[ColumnKind, set[str]] = {
    "text": {"text"},
    "word": {"text"},
    "json": {"jsonb"},
    "integer": {"int2", "int4", "int8"},
    "boolean": {"bool"},
    "date": {"date"},
    "instant": {"timestamptz"},
}
CHECKS = """
    SELECT pg_get_expr(c.conbin, c.conrelid) FROM pg_constraint c
    JOIN pg_attribute a ON a.attrelid = c.conrelid AND c.conkey = ARRAY[a.attnum]
    WHERE c.conrelid = $1::text::regclass AND c.contype = 'c' AND a.attname = $2
"""
REFERENCES = """
    SELECT c.confrelid::regclass::text AS "table", f.attname AS "column" FROM pg_constraint c
    CROSS JOIN unnest(c.conkey, c.confkey) AS pair(ours, theirs)
    JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = pair.ours
    JOIN pg_attribute f ON f.attrelid = c.confrelid AND f.attnum = pair.theirs
    WHERE c.conrelid = $1::text::regclass AND c.contype = 'f' AND a.attname = $2
      AND c.confrelid <> c.conrelid
"""
EXPORTED = [one for one in DATASETS.values() if one.formats == ALL_FORMATS]
WORDS = [(one, column) for one in EXPORTED for column in one.columns if column.kind == "word"]


@pytest.mark.parametrize("dataset", EXPORTED, ids=lambda one: one.name)
async def test_only_text_is_called_text_and_all_of_it_is_shielded(
    dataset: Dataset, database: Database
) -> None:
    """R79: a column of text under another name would reach a spreadsheet as it is."""
    async with database.driver() as driver:
        statement = await driver.prepare(_raw(dataset))
        for column, found in zip(dataset.columns, statement.get_attributes(), strict=True):
            assert found.type.name in TYPES[column.kind], column
    query = select(dataset, "acme", columns=(), filters={}).query(neutral=True)
    for column in dataset.columns:
        is_shielded = f"'''' || {column.sql} ELSE" in query or f"(({column.sql})::text)" in query
        assert is_shielded == (column.kind in ("text", "json")), column


@pytest.mark.parametrize(
    ("dataset", "column"), WORDS, ids=[f"{one.name}-{column.name}" for one, column in WORDS]
)
async def test_database_itself_refuses_formulas_in_what_is_called_a_word(
    dataset: Dataset, column: Column, database: Database
) -> None:
    """R79: words go out as they are, so a constraint of the table must stand behind each."""
    alias, _, name = column.sql.partition(".")
    words = dataset.source.replace("(", " ").split()
    table = words[words.index(alias) - 1]
    async with database.driver() as driver:
        for evil in EVIL:
            assert await _is_refused(driver, table, name, evil), evil


async def _is_refused(driver: "asyncpg.Connection[Any]", table: str, name: str, evil: str) -> bool:
    """Whether a constraint on the column, or on one that it refers to, forbids the text."""
    for (check,) in await driver.fetch(CHECKS, table, name):
        if not await driver.fetchval(f'SELECT {check} FROM (SELECT $1::text AS "{name}") t', evil):
            return True
    for other in await driver.fetch(REFERENCES, table, name):
        if await _is_refused(driver, other["table"], other["column"], evil):
            return True
    return False


def _raw(dataset: Dataset) -> str:
    columns = ", ".join(column.sql for column in dataset.columns)
    return f"SELECT {columns} FROM {dataset.source}"
