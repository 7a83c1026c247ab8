"""Loyalty for commands: sweeps and the view's rebuild with what they need, balances, a dry run.

Called by `billfleet loyalty` and `billfleet sweep loyalty-…`. The figures are the worker's
own, so that what a command shows is what the worker does.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

from billfleet_contracts import DebtPolicy, ProgrammeRules
from billfleet_db.loyalty import Lot
from billfleet_workers.adapters.dynamodb_audit import DynamoAuditTrail
from billfleet_workers.adapters.dynamodb_view import DynamoTransactionView
from billfleet_workers.handlers.loyalty_points import (
    Balance,
    Book,
    Earned,
    ExpiryReport,
    Standing,
    WarningReport,
    balance,
    earn,
    sweep_expiry,
    sweep_warnings,
)
from billfleet_workers.handlers.loyalty_view import RebuildReport, rebuild
from billfleet_workers.main.shared import SOURCE, open_aws_clients, opened_database
from billfleet_workers.runtime.clock import SystemClock
from billfleet_workers.runtime.ports.audit import AuditEntry
from billfleet_workers.settings import Settings

__all__ = [
    "AuditEntry",
    "Balance",
    "Earned",
    "ExpiryReport",
    "RebuildReport",
    "WarningReport",
    "balance_of",
    "explain_purchase",
    "rebuild_loyalty_view",
    "refused_transactions",
    "sweep_loyalty_expiry",
    "sweep_loyalty_warnings",
]


async def sweep_loyalty_expiry(
    settings: Settings,
    *,
    tenant: str | None = None,
    dry_run: bool = False,
    progress: Callable[[ExpiryReport], None] = lambda _: None,
) -> ExpiryReport:
    """Book the expiry of every lot whose time has come.

    Raises:
        billfleet_workers.runtime.errors.Unavailable: the database does not answer, or refuses us.
    """
    async with opened_database(settings) as database:
        return await sweep_expiry(
            database,
            SystemClock(),
            tenant=tenant,
            dry_run=dry_run,
            source=f"{SOURCE}/sweep",
            progress=progress,
        )


async def sweep_loyalty_warnings(
    settings: Settings,
    *,
    tenant: str | None = None,
    dry_run: bool = False,
    progress: Callable[[WarningReport], None] = lambda _: None,
) -> WarningReport:
    """Announce points that end soon, once for each warning of their programme.

    Raises:
        billfleet_workers.runtime.errors.Unavailable: the database does not answer, or refuses us.
    """
    async with opened_database(settings) as database:
        return await sweep_warnings(
            database,
            SystemClock(),
            tenant=tenant,
            dry_run=dry_run,
            source=f"{SOURCE}/sweep",
            progress=progress,
        )


async def rebuild_loyalty_view(
    settings: Settings,
    *,
    tenant: str | None = None,
    dry_run: bool = False,
    progress: Callable[[RebuildReport], None] = lambda _: None,
) -> RebuildReport:
    """Make the DynamoDB table of loyalty transactions equal to PostgreSQL, or count differences.

    Raises:
        billfleet_workers.runtime.errors.Unavailable: PostgreSQL or DynamoDB does not answer.
        billfleet_workers.runtime.errors.Misconfigured: the table or a permission is missing.
    """
    clock = SystemClock()
    clients = open_aws_clients(settings, clock)
    async with opened_database(settings) as database:
        view = await DynamoTransactionView.open(clients, stack=settings.stack, clock=clock)
        try:
            return await rebuild(
                database,
                view,
                clock,
                retain=timedelta(days=settings.loyalty_view_retain_days),
                tenant=tenant,
                dry_run=dry_run,
                progress=progress,
            )
        finally:
            await view.close()


async def refused_transactions(
    settings: Settings, tenant: str, *, since: datetime, limit: int
) -> Sequence[AuditEntry]:
    """The tenant's latest refusals, from the audit trail, newest first.

    Raises:
        billfleet_workers.runtime.errors.Unavailable: DynamoDB does not answer.
    """
    clock = SystemClock()
    clients = open_aws_clients(settings, clock)
    trail = await DynamoAuditTrail.open(clients, stack=settings.stack, clock=clock)
    try:
        return await trail.latest(tenant, since=since, limit=limit)
    finally:
        await trail.close()


def balance_of(lots: Sequence[Lot], debt_points: int, at: datetime, debt: DebtPolicy) -> Balance:
    """What a card with these lots has at that instant."""
    return balance(Book({lot.lot_id: lot for lot in lots}, debt_points), at, debt)


def explain_purchase(
    rules: ProgrammeRules,
    *,
    amount_minor: int,
    redeemed_minor: int,
    store_id: str | None,
    occurred_at: datetime,
    time_zone: str,
    tier: str | None,
    earned_today: int,
) -> Earned:
    """What a purchase would earn, with each rule's part in words. Nothing is written.

    Raises:
        billfleet_workers.dates.UnknownZone: there is no such zone.
        ValueError: more points than can be counted.
    """
    standing = Standing(store_id, occurred_at, time_zone, tier, earned_today)
    return earn(rules, amount_minor, redeemed_minor, standing)
