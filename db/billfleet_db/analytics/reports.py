"""Reports that were made, and the contacts that are told of them.

The reports worker and the commands call it. What a report says lies in its files.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection


@dataclass(frozen=True, slots=True)
class MadeReport:
    """A report. `files` are file ids by kind: html, csv, json."""

    tenant_id: str
    report_id: str
    report: str
    period: str
    first_day: date
    last_day: date
    as_of: datetime
    title: str
    files: Mapping[str, str]


_COLUMNS: Final = "tenant_id, report_id, report, period, first_day, last_day, as_of, title"
_ADD = text(f"""
    INSERT INTO analytics.reports ({_COLUMNS}, files, created_at)
    VALUES (:tenant_id, :report_id, :report, :period, :first_day, :last_day, :as_of, :title,
            CAST(:files AS jsonb), :now)
    ON CONFLICT DO NOTHING
""")
_GET = text(f"""
    SELECT {_COLUMNS}, CAST(files AS text) AS files FROM analytics.reports
    WHERE tenant_id = :tenant_id AND report_id = :report_id
""")
_READERS = text("""
    SELECT contact_id FROM analytics.report_readers
    WHERE tenant_id = :tenant_id AND period = :period ORDER BY contact_id
""")
_ADD_READER = text("""
    INSERT INTO analytics.report_readers (tenant_id, contact_id, period)
    VALUES (:tenant_id, :contact_id, :period) ON CONFLICT DO NOTHING
""")
_REMOVE_READER = text("""
    DELETE FROM analytics.report_readers
    WHERE tenant_id = :tenant_id AND contact_id = :contact_id AND period = :period
""")


async def add(connection: AsyncConnection, made: MadeReport, *, now: datetime) -> bool:
    """Write a report down; False where it is there already."""
    values = {name: getattr(made, name) for name in _COLUMNS.split(", ")}
    values |= {"files": json.dumps(dict(made.files)), "now": now}
    return (await connection.execute(_ADD, values)).rowcount == 1


async def get(connection: AsyncConnection, tenant_id: str, report_id: str) -> MadeReport | None:
    """The report, or None."""
    values = {"tenant_id": tenant_id, "report_id": report_id}
    row = (await connection.execute(_GET, values)).mappings().one_or_none()
    if row is None:
        return None
    return MadeReport(**{**row, "files": json.loads(row["files"])})


async def readers(connection: AsyncConnection, tenant_id: str, period: str) -> list[str]:
    """The contacts that are told of such reports."""
    values = {"tenant_id": tenant_id, "period": period}
    return list((await connection.execute(_READERS, values)).scalars())


async def add_reader(
    connection: AsyncConnection, tenant_id: str, contact_id: str, period: str
) -> None:
    """From now on tell this contact."""
    values = {"tenant_id": tenant_id, "contact_id": contact_id, "period": period}
    await connection.execute(_ADD_READER, values)


async def remove_reader(
    connection: AsyncConnection, tenant_id: str, contact_id: str, period: str
) -> bool:
    """Tell this contact no longer; False where it never was told."""
    values = {"tenant_id": tenant_id, "contact_id": contact_id, "period": period}
    return (await connection.execute(_REMOVE_READER, values)).rowcount == 1
