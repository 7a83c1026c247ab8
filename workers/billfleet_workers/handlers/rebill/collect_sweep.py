"""The collect sweep: bills whose next attempt is due, and attempts whose outcome must be asked for.

`main` runs it for `billfleet sweep collect` and its timer. It is the net under everything that
could have been lost on the way to the collect worker. It writes nothing; whether an attempt is
really made is decided by the worker, under the account's lock.
"""

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import datetime

from billfleet_contracts import ChargeRef, CollectPayments
from billfleet_db import Database, bills
from billfleet_db.bills import DueBill, DueCheck, Position
from billfleet_producers import Producer
from billfleet_workers.handlers.rebill.dispatch import Dispatch, Packs, Parcel, Sent
from billfleet_workers.runtime.clock import Clock

PAGE_BILLS = 2000


@dataclass(slots=True)
class CollectReport:
    """What a collect sweep found and enqueued. In a dry run nothing was really sent."""

    is_dry_run: bool
    bills: int = 0
    checks: int = 0
    sent: Sent = field(default_factory=Sent)

    @property
    def is_complete(self) -> bool:
        """Whether everything that was found has been enqueued."""
        return not self.sent.failed and not self.sent.is_cut_short


Progress = Callable[[CollectReport], None]


@dataclass(frozen=True, slots=True)
class _Scope:
    now: datetime
    tenant: str | None
    page_bills: int


async def sweep_collect(
    database: Database,
    producer: Producer,
    clock: Clock,
    *,
    tenant: str | None = None,
    dry_run: bool = False,
    progress: Progress = lambda _: None,
    page_bills: int = PAGE_BILLS,
) -> CollectReport:
    """Enqueue every bill and every check that is due, longest due first.

    Raises:
        billfleet_db.errors.DatabaseError: the database does not answer.
    """
    scope = _Scope(clock.now(), tenant, page_bills)
    dispatch = Dispatch(producer, dry_run=dry_run)
    report = CollectReport(is_dry_run=dry_run, sent=dispatch.sent)
    packs: Packs[str, ChargeRef] = Packs()
    async for page in _pages(database, scope):
        full = [
            pack for due in page for pack in packs.add(due.position.tenant_id, [_reference(due)])
        ]
        # Sealed at the end of a page too: there may be more tenants than memory should hold.
        await dispatch.send([_parcel(pack, scope.now) for pack in [*full, *packs.close()]])
        report.bills += sum(isinstance(due, DueBill) for due in page)
        report.checks += sum(isinstance(due, DueCheck) for due in page)
        progress(report)
        if dispatch.sent.is_cut_short:
            break
    return report


async def _pages(
    database: Database, scope: _Scope
) -> AsyncIterator[list[DueBill] | list[DueCheck]]:
    """All due checks and then all due bills, a page at a time."""
    for read in (bills.due_for_check, bills.due_for_collection):
        after: Position | None = None
        while True:
            async with database.transaction() as connection:
                page = await read(
                    connection,
                    now=scope.now,
                    after=after,
                    tenant_id=scope.tenant,
                    limit=scope.page_bills,
                )
            if page:
                yield page
                after = page[-1].position
            if len(page) < scope.page_bills:
                break


def _reference(due: DueBill | DueCheck) -> ChargeRef:
    if isinstance(due, DueCheck):
        return _charge_ref(due.position, due.attempt_no, check_no=due.checks_made + 1)
    return _charge_ref(due.position, due.attempts_made + 1, check_no=0)


def _charge_ref(position: Position, attempt_no: int, *, check_no: int) -> ChargeRef:
    return ChargeRef(
        account_id=position.account_id,
        period_start=position.period_start,
        attempt_no=attempt_no,
        check_no=check_no,
    )


def _parcel(pack: tuple[str, tuple[ChargeRef, ...]], now: datetime) -> Parcel:
    tenant, charges = pack
    event = CollectPayments(charges=charges)
    # With the hour in it: a bill that a finished message has left as it was comes up again within
    # the hour, and does not wait for the dedupe record of that message to expire.
    return Parcel(event, tenant, f"{event.default_dedupe_key()}:{now:%Y%m%dT%H}")
