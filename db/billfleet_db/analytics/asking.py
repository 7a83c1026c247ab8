"""Asks a statement with the fields of a dataclass for its parameters.

The modules of figures call it, whose statements all take the same few values. It knows no table.
"""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from sqlalchemy import TextClause
from sqlalchemy.ext.asyncio import AsyncConnection

if TYPE_CHECKING:
    from _typeshed import DataclassInstance


async def rows_of(
    connection: AsyncConnection, query: TextClause, given: "DataclassInstance"
) -> list[dict[str, Any]]:
    """The rows by their columns' names. Fields that the statement does not name are left out."""
    named = query.compile().params
    values = {name: value for name, value in asdict(given).items() if name in named}
    return [dict(row) for row in (await connection.execute(query, values)).mappings()]
