"""What `billfleet doctor` asks the database: reachable, migrated, guarded, and what waits there.

It reads catalogues and privileges and writes nothing. The append-only promise of the ledger
rests on the role and on the triggers, so both are looked at and not assumed.
"""

from collections.abc import Sequence
from datetime import UTC, datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from billfleet_db import Database, attempts, migrate
from billfleet_db.errors import DatabaseError, redacted
from billfleet_db.figures import backlog
from billfleet_ops.endings import as_operator_error
from billfleet_ops.finding import Finding, doubtful, fine, wrong, wrong_because
from billfleet_ops.output import duration
from billfleet_ops.runbooks import Runbook

APPEND_ONLY = ("ledger_accounts", "transfers", "seals")
SKEW_S_MAX = 5.0
OUTBOX_AGE_S_MAX = 300.0

ROLE = text("""
SELECT current_user AS name, r.rolsuper AS is_superuser,
  pg_has_role(current_user, t.tableowner, 'MEMBER') AS is_owner,
  has_any_column_privilege('billing.transfers', 'INSERT') AS may_insert,
  has_any_column_privilege('billing.transfers', 'UPDATE')
    OR has_table_privilege('billing.transfers', 'DELETE')
    OR has_table_privilege('billing.transfers', 'TRUNCATE') AS may_change
FROM pg_roles r, pg_tables t
WHERE r.rolname = current_user AND t.schemaname = 'billing' AND t.tablename = 'transfers'
""")
TRIGGERS = text("""
SELECT c.relname || '.' || t.tgname AS name
FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'billing' AND t.tgenabled = 'A' AND NOT t.tgisinternal
""")
NOW = text("SELECT clock_timestamp()")


async def check_database(
    url: str, *, now: datetime | None = None, gateway: str | None = None
) -> list[Finding]:
    """All findings about the database that workers use, who charge through `gateway`."""
    database = Database.connect(url, pool_size=1, application_name="billfleet-doctor")
    try:
        async with database.transaction() as connection:
            reached = fine("database", f"{redacted(url)} answers")
            clock = await _clock(connection, now or datetime.now(UTC))
        migrated = await _migrated(url)
        if migrated.level != "ok":
            return [reached, clock, migrated]
        async with database.transaction() as connection:
            found = [reached, clock, migrated, await _role(connection), await _triggers(connection)]
            if gateway is not None:
                found += await _other_gateways(connection, gateway)
            return found + await _waiting(connection)
    except DatabaseError as error:
        known = as_operator_error(error)
        assert known is not None, "every DatabaseError has an operator's word"  # noqa: S101 (typing)
        return [wrong_because("database", known)]
    finally:
        await database.close()


async def _clock(connection: AsyncConnection, now: datetime) -> Finding:
    theirs = await connection.scalar(NOW)
    skew_s = abs((theirs - now).total_seconds()) if isinstance(theirs, datetime) else 0.0
    if skew_s > SKEW_S_MAX:
        return doubtful(
            "database clock",
            f"the clocks of this machine and of PostgreSQL are {skew_s:.0f} s apart",
            "Run a time service (chrony, systemd-timesyncd) on both.",
        )
    return fine("database clock", f"within {SKEW_S_MAX:.0f} s of ours")


async def _migrated(url: str) -> Finding:
    at, head = await migrate.current(url), migrate.head()
    if at == head:
        return fine("schema", f"at {head}")
    pending = await migrate.pending(url)
    return wrong(
        "schema",
        f"at {at or 'no revision'}, this version needs {head} ({len(pending)} pending)",
        "Run `billfleet migrate` with MIGRATION_DATABASE_URL set to the owner's login.",
    )


async def _role(connection: AsyncConnection) -> Finding:
    role = (await connection.execute(ROLE)).one()
    remedy = f"Let DATABASE_URL log in as {migrate.APP_ROLE}; keep the owner for migrations."
    if role.is_superuser or role.is_owner:
        what = "a superuser" if role.is_superuser else "an owner of the ledger"
        return wrong("role", f"workers log in as {role.name}, who is {what}", remedy)
    if role.may_change:
        return wrong("role", f"{role.name} may change or delete ledger rows", remedy)
    if not role.may_insert:
        return wrong("role", f"{role.name} may not post to the ledger", remedy)
    return fine("role", f"{role.name} owns nothing and may only append to the ledger")


async def _triggers(connection: AsyncConnection) -> Finding:
    present: Sequence[str] = (await connection.execute(TRIGGERS)).scalars().all()
    wanted = [
        f"{table}.{table}_{rule}"
        for table in APPEND_ONLY
        for rule in ("append_only", "no_truncate")
    ]
    missing = [name for name in wanted if name not in present]
    if missing:
        return wrong(
            "ledger triggers",
            f"missing, or not ENABLE ALWAYS: {', '.join(missing)}",
            "Somebody removed them: restore them from the migration and run `ledger verify`.",
        )
    return fine("ledger triggers", "rows and TRUNCATE are refused for every role")


async def _other_gateways(connection: AsyncConnection, gateway: str) -> list[Finding]:
    """Attempts that no worker asks about, because another gateway has to be asked."""
    others = await attempts.of_other_gateways(connection, gateway)
    return [
        doubtful(
            "payment gateway",
            f"{count} open attempts were made through {other}, and BILLFLEET_GATEWAY is {gateway}: "
            "nobody asks about them, and nothing new is charged to their accounts",
            f"Run the collect workers with BILLFLEET_GATEWAY={other} until they are resolved, or "
            f"look each one up there yourself: {Runbook.ATTEMPTS_FOR_A_HUMAN}",
        )
        for other, count in others.items()
    ]


async def _waiting(connection: AsyncConnection) -> list[Finding]:
    """What waits for a person, each with the page that says what to do."""
    waits = await backlog(connection)
    age_s = waits.outbox_oldest_age_s or 0.0
    findings = []
    if age_s > OUTBOX_AGE_S_MAX:
        what = f"{waits.outbox_unsent} events wait to be sent, the oldest for {duration(age_s)}"
        findings.append(doubtful("outbox", what, f"The relay is behind: {Runbook.OUTBOX_GROWING}"))
    if waits.attempts_for_a_human:
        what = (
            f"{waits.attempts_for_a_human} with an outcome that the gateway never told, or a "
            "request that it refused"
        )
        remedy = (
            "`billfleet payments unresolved`, or `payments retry --tenant T --dry-run`, lists "
            f"them: {Runbook.ATTEMPTS_FOR_A_HUMAN}"
        )
        findings.append(doubtful("payment attempts", what, remedy))
    if waits.accounts_parked:
        what = f"{waits.accounts_parked} are parked, and not billed until somebody unparks them"
        findings.append(doubtful("accounts", what, f"Why, and what then: {Runbook.ACCOUNT_PARKED}"))
    return findings or [fine("waiting work", "nothing waits for a person")]
