"""The audit table of the console: who did what, when, and what came of it.

An action is written before it begins and finished once; the database refuses to change or delete
what is finished.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection


@dataclass(frozen=True, slots=True)
class Action:
    """A row of fleet.actions; `result` is None while it runs, or if it was interrupted."""

    action_id: int
    begun_at: datetime
    operator: str
    verb: str
    target: str
    asked: Mapping[str, Any]
    result: str | None
    is_well: bool | None
    answer: Mapping[str, Any] | None
    finished_at: datetime | None


_BEGIN = text("""
    INSERT INTO fleet.actions (begun_at, operator, session, verb, target, asked)
    VALUES (:begun_at, :operator, :session, :verb, :target, CAST(:asked AS jsonb))
    RETURNING action_id
""")
_FINISH = text("""
    UPDATE fleet.actions SET result = :result, is_well = :is_well,
      answer = CAST(:answer AS jsonb), finished_at = :finished_at
    WHERE action_id = :action_id
""")
_COLUMNS = (
    "action_id, begun_at, operator, verb, target, asked, result, is_well, answer, finished_at"
)
_LATEST = text(f"SELECT {_COLUMNS} FROM fleet.actions ORDER BY action_id DESC LIMIT :limit")
_ONE = text(f"SELECT {_COLUMNS} FROM fleet.actions WHERE action_id = :action_id")
_ABOUT = text(f"""
    SELECT {_COLUMNS} FROM fleet.actions
    WHERE target = ANY(CAST(:names AS text[])) OR asked -> 'names' ?| CAST(:names AS text[])
       OR answer -> 'names' ?| CAST(:names AS text[])
    ORDER BY action_id LIMIT 100
""")


async def begin(
    connection: AsyncConnection,
    *,
    begun_at: datetime,
    operator: str,
    session: str,
    verb: str,
    target: str,
    asked: Mapping[str, Any],
) -> int:
    """Write down what is about to be done; commit it before doing it."""
    values = {
        "begun_at": begun_at,
        "operator": operator,
        "session": session,
        "verb": verb,
        "target": target,
        "asked": json.dumps(asked),
    }
    return int((await connection.execute(_BEGIN, values)).scalar_one())


async def finish(
    connection: AsyncConnection,
    action_id: int,
    *,
    finished_at: datetime,
    result: str,
    is_well: bool,
    answer: Mapping[str, Any],
) -> None:
    """Write down what came of it."""
    values = {
        "action_id": action_id,
        "finished_at": finished_at,
        "result": result,
        "is_well": is_well,
        "answer": json.dumps(answer),
    }
    await connection.execute(_FINISH, values)


async def latest(connection: AsyncConnection, limit: int) -> list[Action]:
    """The newest first."""
    return [
        Action(**row) for row in (await connection.execute(_LATEST, {"limit": limit})).mappings()
    ]


async def one(connection: AsyncConnection, action_id: int) -> Action | None:
    """A single action."""
    found = (await connection.execute(_ONE, {"action_id": action_id})).mappings().first()
    return Action(**found) if found else None


async def about(connection: AsyncConnection, names: list[str]) -> list[Action]:
    """Actions on messages or events of these names, oldest first."""
    found = await connection.execute(_ABOUT, {"names": names})
    return [Action(**row) for row in found.mappings()]
