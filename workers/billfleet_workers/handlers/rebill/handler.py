"""The rebill worker: a `RebillAccounts` becomes charges, next dates and events, or nothing.

The runtime calls it with a claimed delivery. One transaction per message: lock the accounts in the
order of their ids, plan, write. A message that comes again finds the dates moved on and does
nothing. It knows neither the queue nor the gateway.
"""

from collections.abc import Sequence

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from billfleet_contracts import AccountPeriod, Envelope, RebillAccounts
from billfleet_db import Database, accounts
from billfleet_db.errors import IntegrityRefused
from billfleet_workers.dates import start_of_utc_day
from billfleet_workers.handlers.rebill.plan import (
    Charge,
    Outcome,
    Park,
    RebillLimits,
    Terms,
    plan_rebill,
)
from billfleet_workers.handlers.rebill.posting import Origin, Tally, post
from billfleet_workers.handlers.unit_of_work import transaction
from billfleet_workers.runtime.clock import Clock
from billfleet_workers.runtime.errors import Permanent
from billfleet_workers.runtime.handling import Finished, Work
from billfleet_workers.runtime.ports.metrics import Metrics


class RebillHandler:
    """Bills the periods that a message names."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        limits: RebillLimits,
        metrics: Metrics,
        source: str = "/billfleet/rebill",
    ) -> None:
        self._database = database
        self._clock = clock
        self._limits = limits
        self._metrics = metrics
        self._source = source
        self._log = structlog.get_logger("billfleet.rebill")

    async def handle(self, work: Work) -> Finished:
        """Bill what is due of the message, in one transaction.

        Raises:
            Permanent: the event is not a `RebillAccounts`.
            Unavailable: PostgreSQL can't be reached.
            Transient: another transaction was in the way.
        """
        event = work.envelope.data
        if not isinstance(event, RebillAccounts):
            raise Permanent(f"the rebill worker does not handle {work.envelope.type}")
        origin = Origin(work.envelope, self._source)
        terms = Terms(event.as_of, self._clock.now(), self._limits)
        try:
            async with transaction(self._database) as connection:
                outcomes = await _plan(connection, event.accounts, origin, terms)
                tally = await post(connection, outcomes, origin, terms)
        except IntegrityRefused:
            # One account's data broke a rule of the database and took the others with it.
            tally = await self._one_by_one(event.accounts, origin, terms)
        self._announce(work.envelope, tally)
        return Finished({word: count for word, count in tally.periods.items() if count})

    async def _one_by_one(
        self, items: Sequence[AccountPeriod], origin: Origin, terms: Terms
    ) -> Tally:
        """Bill each account behind a savepoint of its own, and park those that are refused."""
        tally = Tally()
        async with transaction(self._database) as connection:
            outcomes = await _plan(connection, items, origin, terms)
            for account_id in sorted({outcome.account_id for outcome in outcomes}):
                own = [outcome for outcome in outcomes if outcome.account_id == account_id]
                tally.add(await _post_or_park(connection, own, origin, terms))
        return tally

    def _announce(self, envelope: Envelope, tally: Tally) -> None:
        tenant = envelope.tenant
        if tally.periods["billed"]:
            self._metrics.count("accounts_rebilled", tally.periods["billed"], tenant=tenant)
        for reason, periods in tally.reasons.items():
            self._metrics.count("periods_refused", periods, reason=reason)
        for account_id, reason in tally.parked.items():
            self._log.error(
                "account_parked", id=envelope.id, tenant=tenant, account=account_id, reason=reason
            )
        for account_id in tally.unknown:
            self._log.warning("unknown_account", id=envelope.id, tenant=tenant, account=account_id)


async def _plan(
    connection: AsyncConnection, items: Sequence[AccountPeriod], origin: Origin, terms: Terms
) -> list[Outcome]:
    tenant = origin.envelope.tenant
    found = await accounts.lock_accounts(connection, tenant, {item.account_id for item in items})
    # Counted by a statement of its own: one that waited for the locks would not see what the
    # transaction that it waited for has charged.
    charged = await accounts.charges_today(
        connection, tenant, found, since=start_of_utc_day(terms.now)
    )
    return plan_rebill(found, items, charged, terms)


async def _post_or_park(
    connection: AsyncConnection, outcomes: Sequence[Outcome], origin: Origin, terms: Terms
) -> Tally:
    try:
        async with connection.begin_nested():
            return await post(connection, outcomes, origin, terms)
    except IntegrityRefused as error:
        refused = [
            Park(outcome.account_id, outcome.period_start, "refused_by_database", error.constraint)
            if isinstance(outcome, Charge)
            else outcome
            for outcome in outcomes
        ]
        return await post(connection, refused, origin, terms)
