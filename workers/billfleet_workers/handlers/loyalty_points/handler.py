"""The loyalty worker: a message about a card becomes movements of points or stamps, once.

The runtime calls it with claimed deliveries. Those of different cards share a transaction, which
begins by locking the cards in one order: all else hangs on those locks (R44, R58). A message that
comes again finds its transaction written down and does nothing. It knows neither the queue nor SNS.
"""

from collections import Counter as Sums
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import cast

from billfleet_contracts import (
    AddPoints,
    CancelTransaction,
    Envelope,
    Event,
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
from billfleet_workers.handlers.loyalty_points.counter import CardEvent, Counter, open_counter
from billfleet_workers.handlers.loyalty_points.rules_book import RulesBook
from billfleet_workers.handlers.loyalty_points.slip import Origin, Slip, flush
from billfleet_workers.handlers.loyalty_points.undoing import cancel
from billfleet_workers.handlers.loyalty_points.visit import Visit, close_visit, open_visit
from billfleet_workers.handlers.unit_of_work import transaction
from billfleet_workers.runtime.clock import Clock
from billfleet_workers.runtime.errors import Permanent
from billfleet_workers.runtime.handling import Finished, Work
from billfleet_workers.runtime.ports.metrics import Metrics

_KINDS: dict[type[CardEvent], TransactionKind] = {
    AddPoints: "points",
    IssueStamps: "stamps",
    RedeemReward: "redemption",
    CancelTransaction: "cancel",
}


class LoyaltyHandler:
    """Works on cards and on programmes, so many messages at once."""

    batch_max = 100

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
        self._rules = RulesBook()

    async def handle_batch(self, works: Sequence[Work]) -> Sequence[Finished | Exception]:
        """Do what the messages ask for, many cards to a transaction, all of them locked first.

        A message at fault is answered with its error, and its neighbours with what they did.

        Raises:
            Unavailable: PostgreSQL can't be reached.
            Transient: another transaction was in the way.
        """
        answers: dict[str, Finished | Exception] = {}
        of_cards: dict[str, list[Work]] = defaultdict(list)
        for work in works:
            event = work.envelope.data
            if isinstance(event, CardEvent):
                of_cards[work.envelope.tenant].append(work)
            else:
                answers[work.token] = await self._other(work.envelope, event)
        for tenant, mine in sorted(of_cards.items()):
            for works_of_a_round in _rounds(mine):
                answers |= await self._serve_all(tenant, works_of_a_round)
        return [answers[work.token] for work in works]

    async def _other(self, envelope: Envelope, event: Event) -> Finished | Exception:
        if not isinstance(event, SetProgramme):
            return Permanent(f"the loyalty worker does not handle {envelope.type}")
        try:
            return await self._set_programme(envelope, event)
        except Permanent as error:
            return error

    async def _serve_all(
        self, tenant: str, works: Sequence[Work]
    ) -> Mapping[str, Finished | Exception]:
        answers: dict[str, Finished | Exception] = {}
        events = [cast("CardEvent", work.envelope.data) for work in works]
        now = self._clock.now()
        slip = Slip(tenant, self._source, now)
        async with transaction(self._database) as connection:
            counter = await open_counter(connection, tenant, now, events=events, book=self._rules)
            for work, event in zip(works, events, strict=True):
                try:
                    note = await self._serve(counter, slip, work.envelope, event)
                    answers[work.token] = Finished(Sums({note: 1}))
                except Permanent as error:
                    answers[work.token] = error
            await flush(connection, slip)
        self._account(events, [answers[work.token] for work in works])
        return answers

    async def _serve(
        self, counter: Counter, slip: Slip, envelope: Envelope, event: CardEvent
    ) -> str:
        card = counter.cards.get(event.card_id)
        if card is None:
            raise Permanent(f"there is no card {event.card_id} of tenant {counter.tenant}")
        request_hash = payload_hash(envelope)
        known = counter.known.get(event.transaction_id)
        if known is not None:
            if known.request_hash != request_hash:
                raise Permanent(f"transaction {event.transaction_id} was another request before")
            return "already_done"
        origin = Origin(counter.tenant, envelope.id, self._source, envelope.traceparent)
        visit = open_visit(counter, origin, card)
        try:
            done, reason = await _act(visit, event), None
        except Refuse as refusal:
            done, reason = _refused(event, refusal), refusal.reason
        row = _row(card, envelope, event, request_hash, done, reason)
        close_visit(visit, slip, row, done.events)
        return reason or "done"

    def _account(
        self, events: Sequence[CardEvent], answers: Sequence[Finished | Exception]
    ) -> None:
        counted: Sums[tuple[str, str]] = Sums()
        for event, answer in zip(events, answers, strict=True):
            if isinstance(answer, Finished):
                counted[_KINDS[type(event)], next(iter(answer.note))] += 1
        for (kind, result), count in counted.items():
            self._metrics.count("loyalty_transactions", count, kind=kind, result=result)

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


def _rounds(works: Sequence[Work]) -> list[list[Work]]:
    """No card twice in a transaction: all that is known of a card was read before its first visit.

    The queue's groups see to that, but it is the sender who names the group.
    """
    rounds: list[list[Work]] = []
    visits: Sums[str] = Sums()
    for work in works:
        card_id = cast("CardEvent", work.envelope.data).card_id
        if visits[card_id] == len(rounds):
            rounds.append([])
        rounds[visits[card_id]].append(work)
        visits[card_id] += 1
    return rounds


async def _act(visit: Visit, event: CardEvent) -> Done:
    match event:
        case AddPoints():
            return add_points(visit, event)
        case IssueStamps():
            return issue_stamps(visit, event)
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
