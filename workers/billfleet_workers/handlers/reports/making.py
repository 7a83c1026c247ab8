"""Makes a report: figures as of an instant, three files in the object store, one row, and the news.

The reports worker and `billfleet analytics report` call it. A report is made once: its id follows
from what was asked for, its files from its id, and all that is said of it commits in one
transaction, so that a maker that died is followed by one that writes the same files again.
"""

import asyncio
import hashlib
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from billfleet_contracts import (
    ReportPeriod,
    ReportReady,
    ReportRequested,
    object_key,
    safe_file_name,
)
from billfleet_db import Database, analytics, outbox, tenants
from billfleet_db import files as file_rows
from billfleet_db.analytics import MadeReport
from billfleet_db.files import FILE_LIFE_DAYS, NewFile
from billfleet_workers.handlers.analytics import policy_of, refresh_sketches
from billfleet_workers.handlers.outbox_rows import outbox_row
from billfleet_workers.handlers.reports.figures import BusinessReport, Wanted, gather
from billfleet_workers.handlers.reports.page import to_html
from billfleet_workers.handlers.reports.periods import first_day_of
from billfleet_workers.handlers.reports.said import to_csv, to_json
from billfleet_workers.handlers.unit_of_work import transaction
from billfleet_workers.runtime.clock import Clock
from billfleet_workers.runtime.errors import Permanent
from billfleet_workers.runtime.ports.metrics import Metrics
from billfleet_workers.runtime.ports.objects import ObjectStore

SETTLED_AFTER: Final = timedelta(minutes=2)
"""The ledger's rows carry the time at which their transaction began; by then it has ended."""
TITLE_CHARS_MAX: Final = 200
FORMS: Final = {
    "html": ("text/html; charset=utf-8", to_html),
    "csv": ("text/csv; charset=utf-8", to_csv),
    "json": ("application/json", to_json),
}
# Any UUID serves as a namespace as long as it never changes: ids of files depend on it.
_NAMESPACE: Final = uuid.UUID("b1f1ee70-0b11-4f1e-8e70-b111f1ee7005")


@dataclass(frozen=True, slots=True)
class Made:
    """A report and its files' bytes by form; no bytes where it had been made before."""

    report: MadeReport
    bodies: dict[str, bytes]
    files: tuple[NewFile, ...]
    is_new: bool


class ReportMaker:
    """Makes reports of one fleet."""

    def __init__(
        self,
        database: Database,
        objects: ObjectStore,
        clock: Clock,
        metrics: Metrics,
        source: str = "/billfleet/reports",
    ) -> None:
        self._database = database
        self._objects = objects
        self._clock = clock
        self._metrics = metrics
        self._source = source

    async def make(
        self, tenant_id: str, asked: ReportRequested, *, traceparent: str | None = None
    ) -> Made:
        """Make the report unless it has been made.

        Raises:
            Permanent: there is no such tenant, or `as_of` lies in the future.
            Unavailable: PostgreSQL or the object store can't be reached.
        """
        known = await self._known(tenant_id, report_id_of(asked))
        if known is not None:
            return Made(known, {}, (), is_new=False)
        wanted = await self._wanted(tenant_id, asked)
        report = await self._gather(wanted)
        # Drawing takes a while, and other messages of this process should not wait for it.
        bodies = await asyncio.to_thread(
            lambda: {form: draw(report) for form, (_, draw) in FORMS.items()}
        )
        files = tuple(self._file(wanted, asked, form, body) for form, body in bodies.items())
        for file, (form, body) in zip(files, bodies.items(), strict=True):
            await self._objects.put(file.object_key, body, content_type=FORMS[form][0])
        made = _row(wanted, asked, dict(zip(bodies, files, strict=True)))
        is_new = await self._announce(made, files, traceparent)
        self._metrics.count("reports_made", period=asked.period)
        return Made(made, bodies, files, is_new)

    async def _known(self, tenant_id: str, report_id: str) -> MadeReport | None:
        async with transaction(self._database) as connection:
            await analytics.see_tenant(connection, tenant_id)
            return await analytics.reports.get(connection, tenant_id, report_id)

    async def _wanted(self, tenant_id: str, asked: ReportRequested) -> Wanted:
        now = self._clock.now()
        as_of = asked.as_of or now - SETTLED_AFTER
        if as_of > now:
            raise Permanent(f"as_of {as_of.isoformat()} is in the future")
        async with transaction(self._database) as connection:
            await analytics.see_tenant(connection, tenant_id)
            tenant = await tenants.get_tenant(connection, tenant_id)
            known = await analytics.books.counting_of(connection, [tenant_id], at=as_of)
        if tenant is None or tenant_id not in known:
            raise Permanent(f"there is no tenant {tenant_id}")
        counting = known[tenant_id]
        try:
            policy = policy_of(counting.policy)
        except ValueError as error:
            raise Permanent(f"the policy of tenant {tenant_id} can't be read: {error}") from error
        first_day = first_day_of(asked.period, asked.first_day)
        return Wanted(tenant, counting.time_zone, policy, asked.period, first_day, as_of)

    async def _gather(self, wanted: Wanted) -> BusinessReport:
        tenant_id = wanted.tenant.tenant_id
        async with transaction(self._database) as connection:
            await analytics.books.close(connection, wanted.as_of)
        await refresh_sketches(self._database, self._clock, tenant_id)
        async with transaction(self._database, "REPEATABLE READ") as connection:
            await analytics.see_tenant(connection, tenant_id)
            return await gather(connection, wanted)

    def _file(self, wanted: Wanted, asked: ReportRequested, form: str, body: bytes) -> NewFile:
        now, tenant_id = self._clock.now(), wanted.tenant.tenant_id
        report_id = report_id_of(asked)
        file_id = uuid.uuid5(_NAMESPACE, f"{tenant_id}\n{report_id}\n{form}")
        file_name = safe_file_name(f"{wanted.title}.{form}")
        return NewFile(
            tenant_id=tenant_id,
            file_id=file_id,
            kind="reports",
            # By the report's first day, so that whoever makes it again writes the same keys.
            object_key=object_key(
                "reports", tenant_id, _at(wanted), file_id, f"{report_id}.{form}"
            ),
            file_name=file_name,
            content_type=FORMS[form][0],
            bytes_count=len(body),
            sha256=hashlib.sha256(body).hexdigest(),
            created_at=now,
            expires_at=now + timedelta(days=FILE_LIFE_DAYS),
            owner={"report_id": report_id},
        )

    async def _announce(
        self, made: MadeReport, files: tuple[NewFile, ...], traceparent: str | None
    ) -> bool:
        """Write the report down and tell its readers; False where another maker was faster."""
        now = self._clock.now()
        async with transaction(self._database) as connection:
            await analytics.see_tenant(connection, made.tenant_id)
            if not await analytics.reports.add(connection, made, now=now):
                return False
            for file in files:
                await file_rows.add(connection, file)
            readers = await analytics.reports.readers(connection, made.tenant_id, made.period)
            rows = [
                outbox_row(
                    _ready(made, contact_id),
                    tenant=made.tenant_id,
                    source=self._source,
                    now=now,
                    traceparent=traceparent,
                )
                for contact_id in readers
            ]
            await outbox.add(connection, rows)
        return True


def report_id_of(asked: ReportRequested) -> str:
    """What the report is called: the same request has the same id."""
    first_day = first_day_of(asked.period, asked.first_day)
    plain = f"{asked.report}-{asked.period}-{first_day.isoformat()}"
    if asked.as_of is None and asked.request_no == 0:
        return plain
    special = f"{asked.as_of and asked.as_of.isoformat()}\n{asked.request_no}"
    return f"{plain}-{hashlib.sha256(special.encode()).hexdigest()[:12]}"


def _row(wanted: Wanted, asked: ReportRequested, files: dict[str, NewFile]) -> MadeReport:
    return MadeReport(
        tenant_id=wanted.tenant.tenant_id,
        report_id=report_id_of(asked),
        report=asked.report,
        period=asked.period,
        first_day=wanted.first_day,
        last_day=wanted.last_day,
        as_of=wanted.as_of,
        title=wanted.title[:TITLE_CHARS_MAX],
        files={form: str(file.file_id) for form, file in files.items()},
    )


def _ready(made: MadeReport, contact_id: str) -> ReportReady:
    periods: dict[str, ReportPeriod] = {"day": "day", "week": "week", "month": "month"}
    return ReportReady(
        report_id=made.report_id,
        file_id=made.files["html"],
        contact_id=contact_id,
        title=made.title,
        period=periods[made.period],
        first_day=made.first_day,
        last_day=made.last_day,
        as_of=made.as_of,
    )


def _at(wanted: Wanted) -> datetime:
    return datetime.combine(wanted.first_day, datetime.min.time())
