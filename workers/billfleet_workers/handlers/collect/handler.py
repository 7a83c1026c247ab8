"""The collect worker: open bills become payments, or recorded reasons why not.

The runtime calls it with a claimed delivery. A `CollectPayments` goes in rounds: one transaction
saves the attempts of one bill per account, the gateway is called side by side, one transaction
records the answers. Whatever happens in between leaves saved attempts behind, which the next
delivery or the sweep takes up under the same keys. It never settles a message.
"""

from collections.abc import Mapping, Sequence
from datetime import date

from sqlalchemy.ext.asyncio import AsyncConnection

from billfleet_contracts import ChargeRef, CollectPayments, PaymentReported
from billfleet_db import Database
from billfleet_db.attempts import Attempt
from billfleet_db.errors import IntegrityRefused
from billfleet_workers.handlers.collect.book import (
    Verdict,
    read_dunning,
    read_situations,
    write_verdicts,
)
from billfleet_workers.handlers.collect.calling import Answered, Call, Caller
from billfleet_workers.handlers.collect.decide import Terms
from billfleet_workers.handlers.collect.judge import Heard, Judgement, judge
from billfleet_workers.handlers.collect.policy import CollectPolicy
from billfleet_workers.handlers.collect.preparing import Preparation, pays_otherwise
from billfleet_workers.handlers.collect.queue_of_bills import BillQueue
from billfleet_workers.handlers.collect.report import take_report
from billfleet_workers.handlers.collect.situation import Situation
from billfleet_workers.handlers.unit_of_work import transaction
from billfleet_workers.runtime.clock import Clock
from billfleet_workers.runtime.errors import Permanent, Transient
from billfleet_workers.runtime.handling import Finished, Work
from billfleet_workers.runtime.ports.metrics import Metrics
from billfleet_workers.runtime.ports.payments import PaymentGateway


class CollectHandler:
    """Collects bills through one gateway, and takes in what its webhooks say."""

    def __init__(
        self,
        database: Database,
        gateway: PaymentGateway,
        clock: Clock,
        metrics: Metrics,
        policy: CollectPolicy | None = None,
    ) -> None:
        self._database = database
        self._gateway = gateway
        self._clock = clock
        self._policy = policy or CollectPolicy()
        self._caller = Caller(gateway, clock, metrics)

    async def handle(self, work: Work) -> Finished:
        """Bring every bill of the message into a recorded state.

        Raises:
            Transient: the gateway is busy, or another worker has the account in hand.
            Permanent: no such tenant or attempt, or a dunning policy that can't be read.
            Unavailable: PostgreSQL can't be reached, or the gateway refuses our credentials.
        """
        match work.envelope.data:
            case CollectPayments() as event:
                return await self._collect(event, work)
            case PaymentReported() as event:
                return await take_report(event, work, self._database, self._gateway, self._terms())
            case _:
                raise Permanent(f"the collect worker does not handle {work.envelope.type}")

    async def _collect(self, event: CollectPayments, work: Work) -> Finished:
        queue = BillQueue(event.charges)
        while heads := queue.heads(self._policy.calls_at_once):
            calls = await self._prepare(queue, heads, work)
            if not calls:
                continue
            answers = await self._caller.call_all(calls, self._terms())
            await self._record(queue, answers, work)
            refused = next((one.refused_us for one in answers if one.refused_us), None)
            if refused is not None:
                raise refused
        if queue.again_in_s is not None and work.receive_count < self._policy.patience_receives:
            raise Transient(_in_words(queue.tally), retry_after_s=queue.again_in_s)
        return Finished(dict(queue.tally))

    async def _prepare(
        self, queue: BillQueue, heads: Sequence[ChargeRef], work: Work
    ) -> list[Call]:
        """Decide about each head and save the attempts, before anybody is called."""
        tenant, terms = work.envelope.tenant, self._terms()
        async with transaction(self._database) as connection:
            dunning = await read_dunning(connection, tenant)
            situations = await read_situations(connection, tenant, _names(heads), terms)
            preparation = Preparation(queue, self._gateway, dunning, terms, work)
            for ref in heads:
                preparation.decide(ref, situations.get(ref.account_id))
            await preparation.write(connection)
        preparation.tell_queue()
        return preparation.calls

    async def _record(self, queue: BillQueue, answers: Sequence[Answered], work: Work) -> None:
        """Write what was answered; an account whose rows refuse it does not take others along."""
        try:
            await self._record_together(queue, answers, work)
        except IntegrityRefused:
            if len(answers) == 1:
                raise
            refusals: list[IntegrityRefused] = []
            for one in answers:
                try:
                    await self._record_together(queue, [one], work)
                except IntegrityRefused as refusal:
                    queue.stop(one.call.ref, "refused_by_database", None)
                    refusals.append(refusal)
            if refusals:
                raise refusals[0] from None

    async def _record_together(
        self, queue: BillQueue, answers: Sequence[Answered], work: Work
    ) -> None:
        """One transaction, with everything as it is recorded now."""
        terms = self._terms()
        async with transaction(self._database) as connection:
            verdicts = await self._judge(connection, answers, work, terms)
            await write_verdicts(connection, work, verdicts, terms)
        for answered, verdict in zip(answers, verdicts, strict=True):
            _tell(queue, answered.call, verdict.judgement)

    async def _judge(
        self, connection: AsyncConnection, answers: Sequence[Answered], work: Work, terms: Terms
    ) -> list[Verdict]:
        tenant = work.envelope.tenant
        names = [(one.call.attempt.account_id, one.call.attempt.period_start) for one in answers]
        dunning = await read_dunning(connection, tenant)
        situations = await read_situations(connection, tenant, names, terms)
        verdicts: list[Verdict] = []
        for answered in answers:
            situation, attempt = _as_recorded(answered.call, situations)
            heard = Heard(
                answered.answer,
                lease_token=work.token,
                # A gateway that was only asked and never heard of the key has charged nothing.
                maybe_sent_before=answered.call.maybe_sent_before and answered.call.may_charge,
                pays_otherwise=pays_otherwise(self._gateway, situation, attempt),
            )
            rules = dunning.rules_for(attempt.currency)
            verdicts.append(
                Verdict(attempt, situation, judge(attempt, situation, heard, rules, terms))
            )
        return verdicts

    def _terms(self) -> Terms:
        return Terms(self._clock.now(), self._policy, self._gateway.name)


def _as_recorded(call: Call, situations: Mapping[str, Situation]) -> tuple[Situation, Attempt]:
    situation = situations[call.attempt.account_id]
    attempt = situation.attempt(call.attempt.attempt_key)
    if attempt is None:
        raise LookupError(f"attempt {call.attempt.attempt_key} has vanished")
    return situation, attempt


def _tell(queue: BillQueue, call: Call, judgement: Judgement) -> None:
    is_of_ref = call.attempt.period_start == call.ref.period_start
    if judgement.note in {"busy", "not_sent", "lease_lost"}:
        queue.stop(call.ref, judgement.note, judgement.again_in_s)
    elif is_of_ref:
        queue.done(call.ref, judgement.note)
    else:
        queue.look_again(f"{judgement.note}_on_the_way")


def _names(refs: Sequence[ChargeRef]) -> list[tuple[str, date]]:
    return [(ref.account_id, ref.period_start) for ref in refs]


def _in_words(tally: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {note}" for note, count in sorted(tally.items()))
