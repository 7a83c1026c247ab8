"""The loyalty worker: a message about a card becomes movements of points or stamps, once.

The runtime calls it with a claimed delivery. One transaction per message, which begins by locking
the card: all else of it hangs on that lock (R44, R58). A message that comes again finds its
transaction written down and does nothing. It knows neither the queue nor SNS.
"""

from collections import Counter

from sqlalchemy.ext.asyncio import AsyncConnection

from billfleet_contracts import (
    AddPoints,
    CancelTransaction,
    Envelope,
    IssueStamps,
    LoyaltyRefused,
    RedeemReward,
    SetProgramme,
    payload_hash,
)
from billfleet_db import Database, loyalty
from billfleet_db.loyalty import Card, NewTransaction, RulesVersion
from billfleet_db.loyalty.transactions import TransactionKind
from billfleet_workers.handlers.loyalty_points.acting import (
    Done,
    Refuse,
    add_points,
    issue_stamps,
    redeem,
)
from billfleet_workers.handlers.loyalty_points.undoing import cancel
from billfleet_workers.handlers.loyalty_points.visit import (
    Origin,
    Visit,
    close_visit,
    open_visit,
)
from billfleet_workers.handlers.unit_of_work import transaction
from billfleet_workers.runtime.clock import Clock
from billfleet_workers.runtime.errors import Permanent
from billfleet_workers.runtime.handling import Finished, Work
from billfleet_workers.runtime.ports.metrics import Metrics

CardEvent = AddPoints | IssueStamps | RedeemReward | CancelTransaction
_KINDS: dict[type[CardEvent], TransactionKind] = {
    AddPoints: "points",
    IssueStamps: "stamps",
    RedeemReward: "redemption",
    CancelTransaction: "cancel",
}


class LoyaltyHandler:
    """Works on cards and on programmes."""

    def __init__(
        self,
        database: Database,
        clock: Clock,
        metrics: Metrics,
        source: str = "/billfleet/loyalty-points",
    ) -> None:
        self._database = database
        self._clock = clock
        self._metrics = metrics
        self._source = source

    async def handle(self, work: Work) -> Finished:
        """Do what the message asks for, in one transaction.

        Raises:
            Permanent: no such card, transaction or rules; or a transaction id used for two things.
            Unavailable: PostgreSQL can't be reached.
            Transient: another transaction was in the way.
        """
        event = work.envelope.data
        if isinstance(event, SetProgramme):
            return await self._set_programme(work.envelope, event)
        if not isinstance(event, CardEvent):
            raise Permanent(f"the loyalty worker does not handle {work.envelope.type}")
        async with transaction(self._database) as connection:
            note = await self._serve(connection, work.envelope, event)
        self._metrics.count("loyalty_transactions", kind=_KINDS[type(event)], result=note)
        return Finished(Counter({note: 1}))

    async def _serve(
        self, connection: AsyncConnection, envelope: Envelope, event: CardEvent
    ) -> str:
        tenant = envelope.tenant
        await loyalty.see_tenant(connection, tenant)
        card = await loyalty.cards.lock(connection, tenant, event.card_id)
        if card is None:
            raise Permanent(f"there is no card {event.card_id} of tenant {tenant}")
        # Read by a statement of its own, after the lock: one that waited for the lock would not
        # see what the transaction that it waited for has written.
        known = await loyalty.transactions.get(connection, tenant, event.transaction_id)
        request_hash = payload_hash(envelope)
        if known is not None:
            if known.request_hash != request_hash:
                raise Permanent(f"transaction {event.transaction_id} was another request before")
            return "already_done"
        origin = Origin(tenant, envelope.id, self._source, envelope.traceparent)
        visit = await open_visit(connection, origin, card, self._clock.now())
        try:
            done, reason = await _act(visit, event), None
        except Refuse as refusal:
            done, reason = _refused(event, refusal), refusal.reason
        row = _row(card, envelope, event, request_hash, done, reason)
        await close_visit(visit, row, done.events)
        await _settle_vouchers(visit, row)
        return reason or "done"

    async def _set_programme(self, envelope: Envelope, event: SetProgramme) -> Finished:
        version = RulesVersion(event.version, event.valid_from, event.rules.model_dump(mode="json"))
        async with transaction(self._database) as connection:
            await loyalty.see_tenant(connection, envelope.tenant)
            if not await loyalty.programmes.exists(connection, envelope.tenant, event.programme_id):
                raise Permanent(f"there is no programme {event.programme_id}")
            added = await loyalty.programmes.add_rules(
                connection, envelope.tenant, event.programme_id, version, work_id=envelope.id
            )
            kept = await loyalty.programmes.rules_of(
                connection, envelope.tenant, event.programme_id, event.version
            )
        if kept != version:
            raise Permanent(f"version {event.version} of {event.programme_id} is another already")
        return Finished({"versions": 1} if added else {"already_done": 1})


async def _act(visit: Visit, event: CardEvent) -> Done:
    match event:
        case AddPoints():
            return await add_points(visit, event)
        case IssueStamps():
            return await issue_stamps(visit, event)
        case RedeemReward():
            return await redeem(visit, event)
        case CancelTransaction():
            return await cancel(visit, event)


def _refused(event: CardEvent, refusal: Refuse) -> Done:
    refused = LoyaltyRefused(
        card_id=event.card_id,
        transaction_id=event.transaction_id,
        occurred_at=event.occurred_at,
        reason=refusal.reason,
    )
    asked = event.model_dump(mode="json", exclude={"card_id", "transaction_id", "occurred_at"})
    return Done({"basis": {"asked": asked}}, (refused,))


def _row(
    card: Card,
    envelope: Envelope,
    event: CardEvent,
    request_hash: str,
    done: Done,
    reason: str | None,
) -> NewTransaction:
    return NewTransaction(
        transaction_id=event.transaction_id,
        card_id=card.card_id,
        programme_id=card.programme_id,
        kind=_KINDS[type(event)],
        request_hash=request_hash,
        work_id=envelope.id,
        occurred_at=event.occurred_at,
        reason=reason,
        **done.columns,  # type: ignore[arg-type] # the acts name columns of the row
    )


async def _settle_vouchers(visit: Visit, row: NewTransaction) -> None:
    """Vouchers point at the transaction, so they follow its row."""
    connection, tenant = visit.connection, visit.origin.tenant
    if row.reason is not None:
        return
    if row.kind == "redemption" and row.basis.get("voucher"):
        await loyalty.programmes.use_voucher(
            connection, tenant, str(row.basis["voucher"]), used_by=row.transaction_id
        )
    full = row.basis.get("vouchers")
    if row.kind == "stamps" and isinstance(full, int) and full:
        await loyalty.programmes.add_vouchers(
            connection,
            tenant,
            row.card_id,
            voucher_ids=[f"{row.transaction_id}/{number}" for number in range(1, full + 1)],
            reward_id=row.reward_id or "",
            issued_by=row.transaction_id,
            stamps=int(str(row.basis["size"])),
            now=visit.now,
        )
