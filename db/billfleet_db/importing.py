"""Accounts brought in from a file: staged by COPY, compared, then taken over set by set.

Called by the import command, in one transaction from `open_staging` to `take_over`; rolling back
leaves nothing. What the fleet itself moves (the date of an account that was billed, its state) is
never overwritten. It knows columns and tables, and neither files nor the words for an operator.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal, NamedTuple

import asyncpg
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from billfleet_db import collection
from billfleet_db import importing_sql as sql
from billfleet_db.errors import mapped

ProblemKind = Literal["repeated", "zone", "no_amount", "changed", "anchor_fixed"]


class StagedAccount(NamedTuple):
    """One row of a file, checked on its own. No amount: the plan's. No interval: the plan's."""

    line: int
    account_id: str
    name: str
    email: str | None
    locale: str
    plan_id: str | None
    amount_minor: int | None
    currency: str
    interval_months: int | None
    commitment_months: int
    anchor_day: int
    time_zone: str
    rebilling_date: date
    state: str
    payment_method: str | None


@dataclass(frozen=True, slots=True)
class StagedProblem:
    """A row that contradicts another row or the database. `detail` depends on the kind."""

    line: int
    account_id: str
    kind: ProblemKind
    detail: str


@dataclass(frozen=True, slots=True)
class TakenOver:
    """What became of the staged rows. `kept` had a date or state that the fleet has since moved."""

    inserted: int
    updated: int
    unchanged: int
    kept: int
    is_new_tenant: bool
    plans_created: int
    first_due_on: date | None
    last_due_on: date | None


_IMPORT_LOCK = 0x62696C6C


async def tenants(connection: AsyncConnection) -> list[str]:
    """Every tenant's id, sorted."""
    found = await connection.scalars(text("SELECT tenant_id FROM business.tenants ORDER BY 1"))
    return list(found)


async def open_staging(connection: AsyncConnection, tenant: str) -> None:
    """Make the table that rows are staged in; one import of a tenant runs at a time.

    Raises SerializationConflict when another import of this tenant is still running.
    """
    await connection.execute(
        text("SELECT pg_advisory_xact_lock(:lock, hashtext(:tenant))"),
        {"lock": _IMPORT_LOCK, "tenant": tenant},
    )
    await connection.execute(sql.CREATE_STAGING)


async def stage(connection: AsyncConnection, rows: Sequence[StagedAccount]) -> None:
    """Copy rows into the staging table."""
    raw = await connection.get_raw_connection()
    driver = raw.driver_connection
    assert isinstance(driver, asyncpg.Connection)  # noqa: S101 - the engine opens no other kind
    try:
        await driver.copy_records_to_table(
            "staged_accounts", records=rows, columns=StagedAccount._fields, schema_name="pg_temp"
        )
    except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError) as error:
        ours = mapped(error)
        raise (ours or error) from error


async def compare(
    connection: AsyncConnection, tenant: str, provided: Collection[str], *, may_update: bool
) -> list[StagedProblem]:
    """Say what each staged row would do, and return the rows that can't be taken over.

    `provided` names the columns that the file speaks of: the others of an existing account are
    left alone, except that a new plan or currency brings its price and interval along.
    """
    values: dict[str, object] = {"tenant": tenant}
    is_said = {"speaks_of_interval": "interval_months" in provided}
    await connection.execute(text("ANALYZE pg_temp.staged_accounts"))
    if not {"amount", "interval_months"} <= set(provided):
        await connection.execute(
            sql.KEEP_TERMS, values | is_said | {"speaks_of_amount": "amount" in provided}
        )
    await connection.execute(sql.FILL_FROM_PLANS, values)
    await connection.execute(sql.FILL_DEFAULTS, values | is_said)
    await connection.execute(text(sql.classification(_with_terms(provided))), values)
    problems = await connection.execute(sql.PROBLEMS, {"may_update": may_update})
    return [StagedProblem(row.line, row.account_id, row.kind, row.detail) for row in problems]


async def discard(connection: AsyncConnection, lines: Sequence[int]) -> None:
    """Take rows out of the staging table."""
    await connection.execute(
        text("DELETE FROM pg_temp.staged_accounts WHERE line = ANY(CAST(:lines AS bigint[]))"),
        {"lines": list(lines)},
    )


async def take_over(
    connection: AsyncConnection, tenant: str, provided: Collection[str]
) -> TakenOver:
    """Write the staged rows to the tenant, which is created if it is not there."""
    values = {"tenant": tenant}
    created = await connection.execute(sql.INSERT_TENANT, values)
    plans = await connection.execute(sql.INSERT_PLANS, values)
    await connection.execute(sql.INSERT_CUSTOMERS, values)
    inserted = await connection.execute(sql.INSERT_ACCOUNTS, values)
    await connection.execute(sql.LOCK_CHANGED, values)
    assignments = sql.assignments(sql.ACCOUNT_COLUMNS, _with_terms(provided))
    updated = await connection.execute(
        text(sql.UPDATE_ACCOUNTS.format(assignments=assignments)), values
    )
    if paying_anew := (await connection.execute(sql.PAYING_ANEW)).all():
        names = [row.account_id for row in paying_anew]
        await collection.revive(connection, tenant, names, now=paying_anew[0].now)
    if assignments := sql.assignments(sql.CUSTOMER_COLUMNS, provided):
        await connection.execute(text(sql.UPDATE_CUSTOMERS.format(assignments=assignments)), values)
    rest = (await connection.execute(sql.COUNT_UNTOUCHED)).one()
    return TakenOver(
        inserted=inserted.rowcount,
        updated=updated.rowcount,
        unchanged=rest.unchanged,
        kept=rest.kept,
        is_new_tenant=created.rowcount > 0,
        plans_created=plans.rowcount,
        first_due_on=rest.first_due_on,
        last_due_on=rest.last_due_on,
    )


def _with_terms(provided: Collection[str]) -> Collection[str]:
    """A file that speaks of plans speaks of what they cost and how often."""
    return {*provided, "amount", "interval_months"} if "plan" in provided else provided
