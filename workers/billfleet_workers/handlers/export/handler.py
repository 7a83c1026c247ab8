"""The export worker: an `ExportRequested` becomes a file and a fact, or a reason and a fact.

The runtime calls it with a claimed delivery and keeps the message hidden for as long as it takes.
The row of the export says whose turn it is; a message that comes again finds it ended. It knows
neither the queue nor how a format is written.
"""

import asyncio
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID, uuid4

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from billfleet_contracts import ExportFailed, ExportReady, ExportRequested
from billfleet_db import exports, files, outbox
from billfleet_db.datasets import Selection, SelectionWrong, find, select
from billfleet_db.errors import IntegrityRefused
from billfleet_db.exports import Busy, Ended, Export, NewExport, Run, Taken
from billfleet_workers.handlers.export.errors import ExportCancelled, ExportRefused, RunLost
from billfleet_workers.handlers.export.run import ExportRun, Made, Workshop
from billfleet_workers.handlers.outbox_rows import outbox_row
from billfleet_workers.handlers.unit_of_work import transaction
from billfleet_workers.runtime.errors import DeliveryError, Permanent, Transient, Unavailable
from billfleet_workers.runtime.handling import Finished, Work
from billfleet_workers.runtime.ports.metrics import Metrics

TRIES_MAX: Final = 8
"""An export that was begun so often and never ended is given up, with its last reason."""
TURN_S_MAX: Final = 30.0
SOON_RECEIVES: Final = 20
"""So often it looks soon whether its turn has come; later it stands behind exports of hours."""


@dataclass(frozen=True, slots=True)
class ExportPolicy:
    """How many exports of one tenant run at the same time, over the whole fleet."""

    per_tenant_max: int = 2


class ExportHandler:
    """Makes exports."""

    def __init__(
        self,
        shop: Workshop,
        metrics: Metrics,
        policy: ExportPolicy | None = None,
        source: str = "/billfleet/export",
    ) -> None:
        self._shop = shop
        self._metrics = metrics
        self._policy = policy or ExportPolicy()
        self._source = source
        self._log = structlog.get_logger("billfleet.export")

    async def handle(self, work: Work) -> Finished:
        """Make the export, unless it has ended already.

        Raises:
            Permanent: the event is none of ours, or names a tenant that there is not.
            Transient: not now: others of the tenant are running, or something got in the way.
            Unavailable: PostgreSQL or the object store can't be reached.
        """
        event = work.envelope.data
        if not isinstance(event, ExportRequested):
            raise Permanent(f"the export worker does not handle {work.envelope.type}")
        export = await self._record(work, event)
        run = Run(export.tenant_id, export.export_id, uuid4())
        try:
            selection = _select(export)
        except SelectionWrong as wrong:
            return await self._end(work, event, run, str(wrong), before_run=True)
        taken = await self._take(work, event, run)
        if isinstance(taken, Ended):
            return Finished({"state": taken.state})
        if taken.tries > TRIES_MAX:
            return await self._end(
                work, event, run, f"it was begun {TRIES_MAX} times and never came to its end"
            )
        return await self._make(work, event, ExportRun(self._shop, run, export, selection))

    async def _record(self, work: Work, event: ExportRequested) -> Export:
        """The row of the export, written now unless whoever asked has written it."""
        new = _new_export(work, event)
        try:
            async with transaction(self._shop.database) as connection:
                await exports.request(connection, new)
                found = await exports.find(
                    connection, new.tenant_id, new.export_id, now=self._shop.clock.now()
                )
        except IntegrityRefused as error:
            raise Permanent(f"the export can't be recorded: {error}") from error
        if found is None or not _is_same(found, new):
            raise Permanent("an export of this id was asked for with other contents")
        return found

    async def _take(self, work: Work, event: ExportRequested, run: Run) -> Taken | Ended:
        now = self._shop.clock.now()
        async with transaction(self._shop.database) as connection:
            answer = await exports.take(
                connection,
                run,
                now=now,
                lease=self._shop.lease,
                per_tenant_max=self._policy.per_tenant_max,
            )
            if isinstance(answer, Ended) and answer.just_now:
                await self._announce(connection, work, _failed(event, None))
        if isinstance(answer, Busy):
            wait_s = (answer.until - now).total_seconds()
            raise Transient(answer.reason, retry_after_s=turn_in_s(wait_s, work.receive_count))
        return answer

    async def _make(self, work: Work, event: ExportRequested, making: ExportRun) -> Finished:
        try:
            made = await making.make()
            await self._publish(work, event, making.run, made)
        except ExportRefused as refused:
            return await self._end(work, event, making.run, str(refused))
        except ExportCancelled:
            return await self._end(work, event, making.run, None)
        except RunLost as error:
            await self._give_back(work, making.run, error)
            raise Transient("another worker has taken the export over") from None
        except BaseException as error:
            await asyncio.shield(self._give_back(work, making.run, error))
            raise
        self._metrics.count("exports_ended", state="ready", format=event.format)
        self._metrics.count("export_rows", made.rows, format=event.format)
        return Finished({"rows": made.rows, "bytes": made.file.bytes_count})

    async def _publish(self, work: Work, event: ExportRequested, run: Run, made: Made) -> None:
        """The file, the end of the export and the fact: all or nothing."""
        now = self._shop.clock.now()
        ready = ExportReady(
            export_id=event.export_id,
            file_id=event.export_id,
            file_name=made.file.file_name,
            dataset=event.dataset,
            format=event.format,
            rows=made.rows,
            bytes_count=made.file.bytes_count,
            expires_at=made.file.expires_at,
            notify_contact_id=event.notify_contact_id,
            notify_customer_id=event.notify_customer_id,
        )
        async with transaction(self._shop.database) as connection:
            is_ours = await exports.publish(
                connection,
                run,
                made.manifest,
                rows=made.rows,
                bytes_count=made.file.bytes_count,
                now=now,
            )
            if not is_ours:
                raise RunLost
            await files.add(connection, made.file)
            await self._announce(connection, work, ready)

    async def _end(
        self,
        work: Work,
        event: ExportRequested,
        run: Run,
        failure: str | None,
        *,
        before_run: bool = False,
    ) -> Finished:
        """There will be no file: say so, once. Without a failure, because somebody wanted it so."""
        state = "failed" if failure is not None else "cancelled"
        async with transaction(self._shop.database) as connection:
            has_ended = await exports.end(
                connection,
                run,
                "failed" if failure is not None else "cancelled",
                now=self._shop.clock.now(),
                failure=failure,
                any_run=before_run,
            )
            if has_ended:
                await self._announce(connection, work, _failed(event, failure))
        self._metrics.count("exports_ended", state=state, format=event.format)
        self._log.info("export_ended", id=work.envelope.id, state=state, reason=failure)
        return Finished({"state": state})

    async def _give_back(self, work: Work, run: Run, error: BaseException) -> None:
        """Let the next worker begin at once. An outage or a drain does not count as a try."""
        self._log.warning(
            "export_run_failed",
            id=work.envelope.id,
            export=str(run.export_id),
            reason=f"{type(error).__name__}: {error}",
        )
        blameless = isinstance(error, Unavailable | asyncio.CancelledError)
        with suppress(DeliveryError):
            # With the database away, the lease ends by itself.
            async with transaction(self._shop.database) as connection:
                await exports.give_back(connection, run, blameless=blameless)

    async def _announce(
        self, connection: AsyncConnection, work: Work, fact: ExportReady | ExportFailed
    ) -> None:
        row = outbox_row(
            fact,
            tenant=work.envelope.tenant,
            source=self._source,
            now=self._shop.clock.now(),
            traceparent=work.envelope.traceparent,
        )
        await outbox.add(connection, [row])


def turn_in_s(wait_s: float, receives: int) -> float:
    """When an export looks again; the queue's longest wait bounds it."""
    if receives < SOON_RECEIVES:
        return min(max(wait_s, 1.0), TURN_S_MAX)
    return TURN_S_MAX * 2.0 ** min(receives // SOON_RECEIVES, 10)


def _select(export: Export) -> Selection:
    dataset = find(export.dataset, export.format)
    return select(dataset, export.tenant_id, columns=export.columns, filters=export.filters)


def _new_export(work: Work, event: ExportRequested) -> NewExport:
    told = {
        "contact_id": event.notify_contact_id,
        "customer_id": event.notify_customer_id,
    }
    return NewExport(
        tenant_id=work.envelope.tenant,
        export_id=UUID(event.export_id),
        dataset=event.dataset,
        format=event.format,
        locale=event.locale,
        work_id=work.envelope.id,
        requested_at=work.envelope.time,
        filters=dict(event.filters),
        columns=list(event.columns),
        notify={name: value for name, value in told.items() if value is not None},
    )


def _is_same(found: Export, asked: NewExport) -> bool:
    def content(export: NewExport) -> tuple[Any, ...]:
        return (
            export.dataset,
            export.format,
            export.locale,
            dict(export.filters),
            list(export.columns),
        )

    return content(found) == content(asked)


def _failed(event: ExportRequested, failure: str | None) -> ExportFailed:
    return ExportFailed(
        export_id=event.export_id,
        dataset=event.dataset,
        format=event.format,
        reason=(failure or "the export was stopped on request")[:500],
        cancelled=failure is None,
        notify_contact_id=event.notify_contact_id,
        notify_customer_id=event.notify_customer_id,
    )
