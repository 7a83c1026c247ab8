"""Takes in what a gateway's webhook, or an operator, says about an attempt.

The handler calls it for `PaymentReported`. Reports come twice, late and in any order, so a report
that contradicts what is recorded is not believed: the gateway is asked, and its answer counts. An
operator speaks only about attempts whose outcome is still open when the row is locked.
"""

from dataclasses import replace
from typing import Final

from billfleet_contracts import PaymentReported
from billfleet_db import Database, attempts
from billfleet_db.attempts import UNRESOLVED, Attempt
from billfleet_workers.handlers.collect.book import (
    Verdict,
    read_dunning,
    read_situations,
    write_verdicts,
)
from billfleet_workers.handlers.collect.decide import Terms
from billfleet_workers.handlers.collect.judge import Authority, Heard, contradicts, judge
from billfleet_workers.handlers.collect.preparing import pays_otherwise
from billfleet_workers.handlers.unit_of_work import transaction
from billfleet_workers.runtime.errors import Permanent, Transient
from billfleet_workers.runtime.handling import Finished, Work
from billfleet_workers.runtime.ports.payments import (
    Declined,
    DeclineKind,
    PaymentGateway,
    Succeeded,
)

OPERATOR: Final = "operator"
"""The `gateway` of a report that a person made."""
_ASK_AGAIN_S: Final = 60.0
_ASK_AGAIN_S_MAX: Final = 900.0
"""Asked seven times with growing pauses: longer than the hour that a gateway's search may lag."""

Conclusion = Succeeded | Declined


async def take_report(
    event: PaymentReported,
    work: Work,
    database: Database,
    gateway: PaymentGateway,
    terms: Terms,
) -> Finished:
    """Record the report once, and what follows from it.

    Raises:
        Permanent: no such attempt, or one of another gateway.
        Transient: the gateway could not say which of two contradicting reports is true.
    """
    tenant = work.envelope.tenant
    async with transaction(database) as connection:
        attempt = await attempts.by_key(connection, tenant, event.attempt_key)
    checked = _checked(event, attempt, tenant)
    said = _conclusion(event, gateway)
    asked = event.gateway != OPERATOR and contradicts(checked, said)
    heard = await _truth(gateway, checked, work.receive_count) if asked else said
    authority: Authority = "truth" if asked else "call"
    if event.gateway == OPERATOR:
        authority = "person"
    return await _record(event, work, database, gateway, checked, Heard(heard, authority), terms)


async def _record(
    event: PaymentReported,
    work: Work,
    database: Database,
    gateway: PaymentGateway,
    seen: Attempt,
    heard: Heard,
    terms: Terms,
) -> Finished:
    tenant = work.envelope.tenant
    async with transaction(database) as connection:
        dunning = await read_dunning(connection, tenant)
        situations = await read_situations(
            connection, tenant, [(seen.account_id, seen.period_start)], terms
        )
        situation = situations[seen.account_id]
        attempt = _checked(event, situation.attempt(event.attempt_key), tenant)
        if not await attempts.remember_report(
            connection,
            tenant,
            gateway=event.gateway,
            gateway_event_id=event.gateway_event_id,
            attempt_key=event.attempt_key,
            result=event.result,
            now=terms.now,
        ):
            return Finished({"reported_before": 1})
        if heard.authority == "person" and attempt.state not in UNRESOLVED:
            return Finished({"no_longer_open": 1})
        if heard.authority == "call" and contradicts(attempt, heard.answer):
            raise Transient("the attempt was concluded meanwhile; its gateway must be asked", 1.0)
        if heard.authority == "truth" and attempt.concluded_at != seen.concluded_at:
            raise Transient("the attempt was concluded anew while its gateway was asked", 1.0)
        rules = dunning.rules_for(attempt.currency)
        heard = replace(heard, pays_otherwise=pays_otherwise(gateway, situation, attempt))
        judgement = judge(attempt, situation, heard, rules, terms)
        await write_verdicts(connection, work, [Verdict(attempt, situation, judgement)], terms)
    return Finished({judgement.note: 1})


async def _truth(gateway: PaymentGateway, attempt: Attempt, receive_count: int) -> Conclusion:
    answer = await gateway.find(attempt.attempt_key, attempt.request_body)
    if isinstance(answer, Succeeded | Declined):
        return answer
    raise Transient(
        f"{gateway.name} was asked which report about {attempt.attempt_key} is true, "
        f"and said {answer}",
        retry_after_s=min(_ASK_AGAIN_S * 2 ** min(receive_count - 1, 9), _ASK_AGAIN_S_MAX),
    )


def _conclusion(event: PaymentReported, gateway: PaymentGateway) -> Conclusion:
    if event.result == "succeeded":
        return Succeeded(event.gateway_reference)
    code = event.decline_code or "unspecified"
    kind: DeclineKind = gateway.decline_kind(code)
    return Declined(code, kind, event.gateway_reference)


def _checked(event: PaymentReported, attempt: Attempt | None, tenant: str) -> Attempt:
    if attempt is None:
        raise Permanent(f"tenant {tenant} has no attempt {event.attempt_key}")
    if event.gateway not in {attempt.gateway, OPERATOR}:
        raise Permanent(
            f"attempt {event.attempt_key} was made through {attempt.gateway}, "
            f"and {event.gateway} reports about it"
        )
    return attempt
