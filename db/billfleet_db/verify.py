"""Audits the books: what must be true of the ledger, the bills and their guards, checked anew.

Called by `billfleet ledger verify` and by tests. It trusts nothing that posting computed, changes
nothing, and finds rather than raises. Run it at REPEATABLE READ, so that it sees one moment.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from billfleet_db.audit_sql import BOOKS, GUARDS, WARNINGS
from billfleet_db.migrate import APP_ROLE, OWNER_ROLE
from billfleet_db.seals import check_seals

Severity = Literal["error", "warning"]
FINDINGS_PER_CHECK_MAX = 1000


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it must be. A warning may have a good reason; an error has none."""

    check: str
    severity: Severity
    tenant_id: str | None
    subject: str
    message: str


_TENANTS = text("""
    SELECT DISTINCT tenant_id FROM billing.seals
    WHERE tenant_id = :tenant_id OR CAST(:tenant_id AS text) IS NULL ORDER BY tenant_id
""")


async def verify(connection: AsyncConnection, tenant_id: str | None = None) -> list[Finding]:
    """Return everything found wrong for one tenant or for all; an empty list is a clean audit."""
    findings: list[Finding] = []
    scope: dict[str, object] = {"tenant_id": tenant_id, "limit": FINDINGS_PER_CHECK_MAX}
    for check, query in BOOKS.items():
        findings += await _run(connection, check, query, scope)
    roles: dict[str, object] = {"app_role": APP_ROLE, "owner_role": OWNER_ROLE}
    for check, query in GUARDS.items():
        findings += await _run(connection, check, query, roles)
    return findings + await _seal_findings(connection, tenant_id)


async def _run(
    connection: AsyncConnection, check: str, query: str, values: Mapping[str, object]
) -> list[Finding]:
    severity: Severity = "warning" if check in WARNINGS else "error"
    found = await connection.execute(text(query), values)
    return [
        Finding(check, severity, row.tenant_id, row.subject, row.message) for row in found.all()
    ]


async def _seal_findings(connection: AsyncConnection, tenant_id: str | None) -> list[Finding]:
    tenants = (await connection.scalars(_TENANTS, {"tenant_id": tenant_id})).all()
    return [
        Finding("seals", "error", tenant, f"seal {broken.seal_no}", broken.message)
        for tenant in tenants
        for broken in await check_seals(connection, tenant)
    ]
