"""Turns decisions into saved attempts and notes, and into the calls that follow.

The handler makes one for each round, inside its first transaction. Nothing is told to the queue
of bills before that transaction has committed.
"""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from billfleet_contracts import ChargeRef
from billfleet_db import attempts, collection
from billfleet_db.accounts import Account
from billfleet_db.attempts import Attempt, Lease
from billfleet_db.bills import Bill
from billfleet_db.collection import BillChange, Standing
from billfleet_workers.handlers.collect import decide as decisions
from billfleet_workers.handlers.collect.book import write_standings
from billfleet_workers.handlers.collect.calling import Call
from billfleet_workers.handlers.collect.decide import Decision, Terms, decide
from billfleet_workers.handlers.collect.policy import DunningPolicy
from billfleet_workers.handlers.collect.queue_of_bills import BillQueue
from billfleet_workers.handlers.collect.situation import Situation, standing, unchanged
from billfleet_workers.runtime.handling import Work
from billfleet_workers.runtime.ports.payments import Charge, PaymentGateway


class Preparation:
    """The first half of a round: what is decided, saved, and then called about."""

    def __init__(
        self,
        queue: BillQueue,
        gateway: PaymentGateway,
        dunning: DunningPolicy,
        terms: Terms,
        work: Work,
    ) -> None:
        self._queue = queue
        self._gateway = gateway
        self._dunning = dunning
        self._terms = terms
        self._work = work
        self._lease = Lease(work.token, terms.now + terms.policy.lease)
        self._new: list[attempts.NewAttempt] = []
        self._retaken: list[str] = []
        self._bills: list[BillChange] = []
        self._standings: list[Standing] = []
        self._known: dict[str, Account] = {}
        self._news: list[Callable[[], None]] = []
        self.calls: list[Call] = []

    def decide(self, ref: ChargeRef, situation: Situation | None) -> None:
        """Decide about one bill and note what follows."""
        if situation is None:
            self._tell(ref, "unknown_account")
            return
        bill = situation.bill(ref.period_start)
        currency = situation.account.currency if bill is None else bill.currency
        rules = self._dunning.rules_for(currency)
        objection = None if bill is None else self._objection(situation, bill)
        decision = decide(ref, situation, rules, objection, self._terms)
        if bill is None or isinstance(decision, decisions.Settled):
            note = decision.reason if isinstance(decision, decisions.Settled) else "unknown_bill"
            self._tell(ref, note)
        else:
            self._follow(decision, ref, situation, bill)

    async def write(self, connection: AsyncConnection) -> None:
        """Save everything, in the transaction in which it was decided."""
        tenant, now = self._work.envelope.tenant, self._terms.now
        if self._new:
            await attempts.prepare(
                connection,
                tenant,
                self._new,
                lease=self._lease,
                work_id=self._work.envelope.id,
                now=now,
            )
        if self._retaken:
            await attempts.take_leases(connection, tenant, self._retaken, lease=self._lease)
        if self._bills:
            await collection.change_bills(connection, tenant, self._bills)
            await write_standings(connection, self._work, self._known, self._standings, self._terms)

    def tell_queue(self) -> None:
        """After the commit: which bills need no call."""
        for news in self._news:
            news()

    def _follow(self, decision: Decision, ref: ChargeRef, situation: Situation, bill: Bill) -> None:
        match decision:
            case decisions.NewAttempt(attempt_no):
                self._prepare(ref, situation, bill, attempt_no)
            case decisions.Resend(attempt):
                self._resend(ref, situation, bill, attempt)
            case decisions.Resolve(attempt, ask_first, may_charge):
                self._retaken.append(attempt.attempt_key)
                self.calls.append(Call(ref, attempt, ask_first, may_charge, maybe_sent_before=True))
            case decisions.Busy(until):
                wait_s = max((until - self._terms.now).total_seconds(), 1.0)
                self._news.append(lambda: self._queue.stop(ref, "in_other_hands", wait_s))
            case decisions.Waive():
                now = self._terms.now
                paid = replace(unchanged(bill), state="paid", next_attempt_at=None, paid_at=now)
                self._note(ref, situation, paid, "nothing_to_pay")
            case decisions.Wait(until, note):
                self._note(ref, situation, _held(bill, until, note), note)
            case decisions.Refuse(reason):
                self._note(ref, situation, _held(bill, None, reason), reason)
            case decisions.Settled(reason):
                self._tell(ref, reason)

    def _prepare(self, ref: ChargeRef, situation: Situation, bill: Bill, attempt_no: int) -> None:
        charge = _charge(situation, bill, attempt_no)
        new = attempts.NewAttempt(
            account_id=bill.account_id,
            period_start=bill.period_start,
            attempt_no=attempt_no,
            attempt_key=charge.key,
            gateway=self._gateway.name,
            request_body=self._gateway.request_body(charge),
            amount_minor=bill.amount_minor,
            currency=bill.currency,
        )
        self._new.append(new)
        self.calls.append(Call(ref, self._as_saved(new), ask_first=self._terms.policy.asks_first))

    def _resend(self, ref: ChargeRef, situation: Situation, bill: Bill, attempt: Attempt) -> None:
        charge = _charge(situation, bill, attempt.attempt_no)
        if self._gateway.request_body(charge) != attempt.request_body:
            # The customer pays otherwise now. A key keeps its body for ever, so this is another.
            self._prepare(ref, situation, bill, attempt.attempt_no + 1)
            return
        self._retaken.append(attempt.attempt_key)
        self.calls.append(Call(ref, attempt, ask_first=self._terms.policy.asks_first))

    def _as_saved(self, new: attempts.NewAttempt) -> Attempt:
        return Attempt(
            tenant_id=self._work.envelope.tenant,
            account_id=new.account_id,
            period_start=new.period_start,
            attempt_no=new.attempt_no,
            attempt_key=new.attempt_key,
            gateway=new.gateway,
            request_body=new.request_body,
            amount_minor=new.amount_minor,
            currency=new.currency,
            state="prepared",
            gateway_reference=None,
            decline_code=None,
            decline_kind=None,
            error=None,
            leased_until=self._lease.until,
            lease_token=self._lease.token,
            checks_made=0,
            next_check_at=None,
            work_id=self._work.envelope.id,
            created_at=self._terms.now,
            concluded_at=None,
        )

    def _objection(self, situation: Situation, bill: Bill) -> str | None:
        return self._gateway.objection(_charge(situation, bill, bill.attempts_made + 1))

    def _note(self, ref: ChargeRef, situation: Situation, change: BillChange, note: str) -> None:
        changed = situation.with_bill(change)
        self._known[change.account_id] = situation.account
        self._bills.append(change)
        self._standings.append(standing(changed, is_unknown=False))
        self._tell(ref, note)

    def _tell(self, ref: ChargeRef, note: str) -> None:
        self._news.append(lambda: self._queue.done(ref, note))


def pays_otherwise(gateway: PaymentGateway, situation: Situation, attempt: Attempt) -> bool:
    """Whether the same attempt would be another request now, because the payment method is."""
    bill = situation.bill(attempt.period_start)
    if bill is None or attempt.gateway != gateway.name:
        return False
    charge = _charge(situation, bill, attempt.attempt_no)
    if gateway.objection(charge) is not None:
        return False
    return gateway.request_body(charge) != attempt.request_body


def attempt_key(tenant: str, bill: Bill, attempt_no: int) -> str:
    """The key of an attempt: the same for everybody who tries the same thing."""
    return f"{tenant}:{bill.account_id}:{bill.period_start.isoformat()}:{attempt_no}"


def _charge(situation: Situation, bill: Bill, attempt_no: int) -> Charge:
    tenant = situation.account.tenant_id
    return Charge(
        key=attempt_key(tenant, bill, attempt_no),
        tenant=tenant,
        account_id=bill.account_id,
        period_start=bill.period_start,
        amount_minor=bill.amount_minor,
        currency=bill.currency,
        payment_method=situation.account.payment_method,
        description=f"{bill.account_id} {bill.period_start} to {bill.period_end}",
    )


def _held(bill: Bill, next_attempt_at: datetime | None, note: str) -> BillChange:
    return replace(unchanged(bill), next_attempt_at=next_attempt_at, collection_note=note)
