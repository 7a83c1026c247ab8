"""The rebill sweep: finds every account that is due, in its own zone, and enqueues its periods.

`main` runs it for `billfleet sweep rebill` and its timer. It reads page by page and writes nothing,
so it may run twice, twice at once, or again after a crash: the same periods give the same dedupe
keys, and the ledger refuses what still comes twice. It knows neither prices nor the ledger.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import islice

from billfleet_contracts import AccountPeriod, RebillAccounts
from billfleet_db import Database, accounts
from billfleet_db.accounts import DueAccount
from billfleet_producers import Producer
from billfleet_workers.dates import (
    UnknownZone,
    latest_today,
    local_today,
    periods_due,
    start_of_utc_day,
)
from billfleet_workers.handlers.rebill.dispatch import Dispatch, Packs, Parcel, Sent
from billfleet_workers.handlers.rebill.plan import RebillLimits
from billfleet_workers.runtime.clock import Clock

PAGE_ACCOUNTS = 2000

Key = tuple[str, date]


class HorizonExceeded(ValueError):
    """The date is further ahead than anything may be billed. Check the date and the clock.

    Nothing was enqueued. BILLFLEET_HORIZON_DAYS sets how far ahead may be billed.
    """


@dataclass(slots=True)
class SweepReport:
    """What a rebill sweep found and enqueued. In a dry run nothing was really sent."""

    is_dry_run: bool
    as_of: date | None
    """None: each account's own today."""
    accounts: int = 0
    periods: int = 0
    accounts_behind: int = 0
    """More of their periods are due than one sweep sends; the next ones take up the rest."""
    accounts_waiting: int = 0
    """Charged so often today that more would park them; they stay due until tomorrow."""
    accounts_sick: int = 0
    """Their time zone does not exist; the worker parks them and says so."""
    accounts_by_tenant: dict[str, int] = field(default_factory=dict)
    sent: Sent = field(default_factory=Sent)

    @property
    def is_complete(self) -> bool:
        """Whether everything that was found has been enqueued."""
        return not self.sent.failed and not self.sent.is_cut_short


Progress = Callable[[SweepReport], None]


@dataclass(frozen=True, slots=True)
class _Scope:
    """What one sweep looks for."""

    now: datetime
    as_of: date | None
    limits: RebillLimits

    @property
    def until(self) -> date:
        return self.as_of or latest_today(self.now)


async def sweep_rebill(
    database: Database,
    producer: Producer,
    clock: Clock,
    *,
    as_of: date | None = None,
    tenant: str | None = None,
    limits: RebillLimits,
    dry_run: bool = False,
    progress: Progress = lambda _: None,
    page_accounts: int = PAGE_ACCOUNTS,
) -> SweepReport:
    """Enqueue every period that is due by `as_of`, or by each account's own today.

    Raises:
        HorizonExceeded: `as_of` is further ahead than the limits allow.
        billfleet_db.errors.DatabaseError: the database does not answer.
    """
    scope = _Scope(clock.now(), as_of, limits)
    _refuse_beyond_horizon(scope)
    dispatch = Dispatch(producer, dry_run=dry_run)
    report = SweepReport(is_dry_run=dry_run, as_of=as_of, sent=dispatch.sent)
    packs: Packs[Key, AccountPeriod] = Packs()
    after, is_last = ("", ""), False
    while not is_last and not dispatch.sent.is_cut_short:
        async with database.transaction() as connection:
            page = await accounts.due_accounts(
                connection,
                until=scope.until,
                charged_since=start_of_utc_day(scope.now),
                after=after,
                tenant_id=tenant,
                limit=page_accounts,
            )
        is_last = len(page) < page_accounts
        await dispatch.send(list(_parcels(page, packs, scope, report, is_last=is_last)))
        progress(report)
        if page:
            after = (page[-1].tenant_id, page[-1].account_id)
    return report


def _refuse_beyond_horizon(scope: _Scope) -> None:
    horizon = latest_today(scope.now) + timedelta(days=scope.limits.horizon_days)
    if scope.until > horizon:
        raise HorizonExceeded(
            f"{scope.until} is more than {scope.limits.horizon_days} days ahead; "
            f"nothing after {horizon} is billed"
        )


def _parcels(
    page: list[DueAccount],
    packs: Packs[Key, AccountPeriod],
    scope: _Scope,
    report: SweepReport,
    *,
    is_last: bool,
) -> Iterator[Parcel]:
    """The messages that this page fills; what is left of a tenant waits for its next page."""
    tenant = None
    for due in page:
        if tenant not in {None, due.tenant_id}:
            yield from map(_parcel, packs.close())
        tenant = due.tenant_id
        as_of, periods = _periods(due, scope, report)
        if periods:
            yield from map(_parcel, packs.add((due.tenant_id, as_of), periods))
    if is_last:
        yield from map(_parcel, packs.close())


def _parcel(pack: tuple[Key, tuple[AccountPeriod, ...]]) -> Parcel:
    (tenant, as_of), periods = pack
    return Parcel(RebillAccounts(as_of=as_of, accounts=periods), tenant)


def _periods(
    due: DueAccount, scope: _Scope, report: SweepReport
) -> tuple[date, list[AccountPeriod]]:
    """The account's day, and its periods to enqueue, oldest first."""
    try:
        as_of = scope.as_of or local_today(scope.now, due.time_zone)
    except UnknownZone:
        # Sent all the same: the worker is the one that parks, and says why.
        as_of = due.rebilling_date
        report.accounts_sick += 1
    starts = list(
        islice(
            periods_due(due.rebilling_date, due.anchor_day, due.interval_months, as_of),
            scope.limits.catch_up_periods_max + 1,
        )
    )
    if not starts:
        return as_of, []
    # The worker parks an account that is charged too often. A long backlog is no such alarm, so
    # the sweep stays below that limit by itself.
    room = min(scope.limits.catch_up_periods_max, scope.limits.charges_per_day_max - due.charged)
    if room <= 0:
        report.accounts_waiting += 1
        return as_of, []
    report.accounts += 1
    report.accounts_by_tenant[due.tenant_id] = report.accounts_by_tenant.get(due.tenant_id, 0) + 1
    report.accounts_behind += len(starts) > room
    report.periods += len(starts[:room])
    return as_of, [
        AccountPeriod(account_id=due.account_id, period_start=start, generation=due.generation)
        for start in starts[:room]
    ]
