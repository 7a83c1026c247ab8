"""What a data set is: columns, filters and their SQL; and how a request becomes one query.

Each module beside this one declares a data set; the export worker and `billfleet export` read
them. What is asked for is checked here, by name and by value, so that a mistake is told in words
and nothing of a request ever becomes SQL.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Final, Literal

from billfleet_db.cells import neutralised_sql

ColumnKind = Literal["text", "word", "integer", "boolean", "date", "instant", "json"]
FilterKind = Literal["text", "integer", "date", "instant"]
ALL_FORMATS: Final = ("csv", "ndjson", "parquet", "xlsx")

Value = str | int | date | datetime
_DECIMAL = re.compile(r"-?[0-9]{1,18}")


class SelectionWrong(Exception):
    """The request names a data set, column, filter or value that there is not.

    The message says which and what there is. Correct the request; nothing was read.
    """


@dataclass(frozen=True, slots=True)
class Column:
    """One column. A `word` is text that the database itself keeps to letters and digits."""

    name: str
    kind: ColumnKind
    sql: str


@dataclass(frozen=True, slots=True)
class Filter:
    """One condition, with `{}` where its value goes."""

    name: str
    kind: FilterKind
    condition: str
    choices: tuple[str, ...] = ()
    required: bool = False


@dataclass(frozen=True, slots=True)
class Dataset:
    """Rows of one tenant. `source` gives them an alias that columns and filters use.

    Raise `version` when the meaning of a column changes or one is taken away.
    """

    name: str
    title: str
    source: str
    tenant: str
    columns: tuple[Column, ...]
    filters: tuple[Filter, ...]
    order: str
    formats: tuple[str, ...] = ALL_FORMATS
    version: int = 1

    def column(self, name: str) -> Column:
        """The column of this name, or `SelectionWrong`."""
        found = next((column for column in self.columns if column.name == name), None)
        if found is None:
            there = ", ".join(column.name for column in self.columns)
            raise SelectionWrong(f"{self.name} has no column {name!r}; it has {there}")
        return found


@dataclass(frozen=True, slots=True)
class Selection:
    """A checked request: the columns in their order, and the query with its values."""

    dataset: Dataset
    columns: tuple[Column, ...]
    filters: Mapping[str, str]
    args: tuple[Value, ...]
    _where: str

    def query(self, *, neutral: bool = False) -> str:
        """The SELECT; `neutral` shields text that a spreadsheet would run."""
        chosen = ", ".join(
            f'{_spelled(column, neutral)} AS "{column.name}"' for column in self.columns
        )
        return (
            f"SELECT {chosen} FROM {self.dataset.source} WHERE {self._where}"
            f" ORDER BY {self.dataset.order}"
        )


def select(
    dataset: Dataset, tenant_id: str, *, columns: Sequence[str], filters: Mapping[str, str]
) -> Selection:
    """Check a request against its data set.

    Raises:
        SelectionWrong: a column, filter or value is not what the data set knows.
    """
    if len(set(columns)) != len(columns):
        raise SelectionWrong("a column is named twice")
    chosen = tuple(dataset.column(name) for name in columns) or dataset.columns
    conditions = [f"{dataset.tenant} = $1::text"]
    args: list[Value] = [tenant_id]
    known = {condition.name: condition for condition in dataset.filters}
    for name, written in filters.items():
        if name not in known:
            there = ", ".join(known) or "none"
            raise SelectionWrong(f"{dataset.name} has no filter {name!r}; it has {there}")
        args.append(_value(known[name], written))
        cast = f"${len(args)}::{_SQL_TYPES[known[name].kind]}"
        conditions.append(f"({known[name].condition.format(cast)})")
    for condition in dataset.filters:
        if condition.required and condition.name not in filters:
            raise SelectionWrong(f"{dataset.name} needs the filter {condition.name!r}")
    return Selection(dataset, chosen, dict(filters), tuple(args), " AND ".join(conditions))


_SQL_TYPES: Final[Mapping[FilterKind, str]] = {
    "text": "text",
    "integer": "bigint",
    "date": "date",
    "instant": "timestamptz",
}


def _spelled(column: Column, neutral: bool) -> str:
    if column.kind == "json":
        return (
            f"({column.sql})::text" if not neutral else neutralised_sql(f"(({column.sql})::text)")
        )
    return neutralised_sql(column.sql) if neutral and column.kind == "text" else column.sql


def _value(condition: Filter, written: str) -> Value:
    if condition.choices and written not in condition.choices:
        there = ", ".join(condition.choices)
        raise SelectionWrong(f"{condition.name} is one of {there}, not {written!r}")
    try:
        return _READERS[condition.kind](written)
    except ValueError:
        form = _FORMS[condition.kind]
        raise SelectionWrong(f"{condition.name} is {form}, not {written!r}") from None


def _integer(written: str) -> int:
    if _DECIMAL.fullmatch(written) is None:
        raise ValueError(written)
    return int(written)


def _text(written: str) -> str:
    if "\0" in written:
        raise ValueError(written)
    return written


def _date(written: str) -> date:
    if len(written) != len("2026-01-31"):
        raise ValueError(written)
    return date.fromisoformat(written)


def _instant(written: str) -> datetime:
    read = datetime.fromisoformat(written)
    return read if read.tzinfo is not None else read.replace(tzinfo=UTC)


_READERS: Final[Mapping[FilterKind, Callable[[str], Value]]] = {
    "text": _text,
    "integer": _integer,
    "date": _date,
    "instant": _instant,
}
_FORMS: Final[Mapping[FilterKind, str]] = {
    "text": "text",
    "integer": "a whole number",
    "date": "a day, YYYY-MM-DD",
    "instant": "a time, YYYY-MM-DDTHH:MM:SS with an offset, or UTC without",
}


def since_and_until(prefix: str, column: str) -> tuple[Filter, Filter]:
    """Two filters on an instant by UTC days: `<prefix>_from` and `<prefix>_to`, both inclusive."""
    return (
        Filter(f"{prefix}_from", "date", f"{column} >= {{}}"),
        Filter(f"{prefix}_to", "date", f"{column} < {{}} + 1"),
    )
