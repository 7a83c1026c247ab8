"""Reads what `decide` and `judge` look at, and writes what `judge` says: one transaction's SQL.

The handler and the report reader call it inside their transaction. Locks are taken on accounts,
then bills, then attempts, each in the order of the account's id. It decides nothing but the
account's standing, which follows from the bills as they are after the change.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from itertools import chain, groupby
from operator import attrgetter

from sqlalchemy.ext.asyncio import AsyncConnection

from billfleet_contracts import Event, PaymentFailed, PaymentSucceeded
from billfleet_db import accounts, attempts, collection, ledger, outbox, refusals, tenants
from billfleet_db.accounts import Account, AccountState
from billfleet_db.attempts import Attempt, AttemptChange
from billfleet_db.collection import Standing
from billfleet_workers.handlers.collect.decide import NETWORK_WINDOW, Terms
from billfleet_workers.handlers.collect.judge import Judgement
from billfleet_workers.handlers.collect.policy import (
    DunningPolicy,
    DunningPolicyInvalid,
    dunning_policy,
)
from billfleet_workers.handlers.collect.resuming import WHILE_INACTIVE, resumptions
from billfleet_workers.handlers.collect.situation import STOPPED, Situation, standing
from billfleet_workers.handlers.outbox_rows import outbox_row
from billfleet_workers.runtime.errors import Permanent
from billfleet_workers.runtime.handling import Work

SOURCE = "/billfleet/collect"


@dataclass(frozen=True, slots=True)
class Verdict:
    """A judgement and what it is about."""

    attempt: Attempt
    situation: Situation
    judgement: Judgement


async def read_dunning(connection: AsyncConnection, tenant: str) -> DunningPolicy:
    """The tenant's policy.

    Raises:
        Permanent: there is no such tenant, or its policy can't be read.
    """
    row = await tenants.get_tenant(connection, tenant)
    if row is None:
        raise Permanent(f"there is no tenant {tenant}")
    try:
        return dunning_policy(tenant, row.dunning)
    except DunningPolicyInvalid as error:
        raise Permanent(str(error)) from error


async def read_situations(
    connection: AsyncConnection,
    tenant: str,
    bills: Iterable[tuple[str, date]],
    terms: Terms,
) -> dict[str, Situation]:
    """Lock the accounts with their open and named bills; unknown accounts are left out."""
    named = list(bills)
    locked = await accounts.lock_accounts(connection, tenant, [name for name, _ in named])
    found_bills = await collection.lock_bills(connection, tenant, locked, named)
    tried = await attempts.lock_of_accounts(connection, tenant, locked, named)
    since = terms.now - NETWORK_WINDOW
    declines = await attempts.declines_since(connection, tenant, locked, since=since)
    by_account = attrgetter("account_id")
    bills_of = {name: tuple(group) for name, group in groupby(found_bills, by_account)}
    tried_of = {name: tuple(group) for name, group in groupby(tried, by_account)}
    return {
        name: Situation(
            account,
            bills_of.get(name, ()),
            tried_of.get(name, ()),
            declines.get(name, {}),
        )
        for name, account in locked.items()
    }


async def write_verdicts(
    connection: AsyncConnection, work: Work, verdicts: Sequence[Verdict], terms: Terms
) -> None:
    """Write attempts, bills, ledger, standings and events of rows that are locked."""
    tenant = work.envelope.tenant
    judgements = [verdict.judgement for verdict in verdicts]
    changed = [one.attempt for one in judgements if one.attempt is not None]
    if not changed:
        return
    await attempts.record(connection, tenant, changed)
    bills = [one.bill for one in judgements if one.bill is not None]
    bills += chain.from_iterable(one.released for one in judgements)
    if bills:
        await collection.change_bills(connection, tenant, bills)
    transfers = await _post(connection, work, verdicts)
    standings = [
        _standing_after(verdict, verdict.judgement.attempt)
        for verdict in verdicts
        if verdict.judgement.attempt is not None
    ]
    known = {one.situation.account.account_id: one.situation.account for one in verdicts}
    await write_standings(connection, work, known, standings, terms)
    states = {one.account_id: one.state for one in standings}
    rows = [_outgoing(verdict, transfers, states, work, terms) for verdict in verdicts]
    await outbox.add(connection, list(chain.from_iterable(rows)))


async def write_standings(
    connection: AsyncConnection,
    work: Work,
    known: Mapping[str, Account],
    standings: Sequence[Standing],
    terms: Terms,
) -> None:
    """Write the accounts' states. Who is active again goes on with the period of today."""
    tenant = work.envelope.tenant
    await collection.set_standings(connection, tenant, standings, now=terms.now)
    resumed = resumptions(known, standings, terms.now)
    if not resumed or (await read_dunning(connection, tenant)).bills_inactive_time:
        return
    dates = {one.account_id: one.rebilling_date for one in resumed}
    await accounts.advance(connection, tenant, dates, now=terms.now)
    left_out = [
        refusals.NewRefusal(one.account_id, period_start, WHILE_INACTIVE)
        for one in resumed
        for period_start in one.left_out
    ]
    await refusals.record(connection, tenant, left_out, work_id=work.envelope.id, now=terms.now)


async def _post(
    connection: AsyncConnection, work: Work, verdicts: Sequence[Verdict]
) -> dict[str, int]:
    """Post payments and reversals; the ids of the new rows by attempt key."""
    moving = [verdict for verdict in verdicts if verdict.judgement.ledger != "none"]
    if not moving:
        return {}
    # Only a correction finds anything here: each row undoes the one before it.
    last = await collection.last_transfers(
        connection, work.envelope.tenant, [verdict.attempt.attempt_key for verdict in moving]
    )
    fresh = [verdict.attempt for verdict in moving if verdict.attempt.attempt_key not in last]
    posted = await ledger.post_transfers(connection, [_payment(one, work) for one in fresh])
    ids = {one.attempt_key: done.transfer_id for one, done in zip(fresh, posted, strict=True)}
    for verdict in moving:
        key = verdict.attempt.attempt_key
        is_paid = key in last and last[key].reversals % 2 == 0
        if key in last and is_paid == (verdict.judgement.ledger == "take_back"):
            reason = f"the gateway corrected attempt {key}"
            done = await ledger.reverse(connection, last[key].transfer_id, reason, work.envelope.id)
            ids[key] = done.transfer_id
    return ids


def _payment(attempt: Attempt, work: Work) -> ledger.NewTransfer:
    return ledger.NewTransfer(
        tenant_id=attempt.tenant_id,
        transfer_key=ledger.payment_key(attempt.attempt_key),
        kind="payment",
        account_id=attempt.account_id,
        period_start=attempt.period_start,
        amount_minor=attempt.amount_minor,
        currency=attempt.currency,
        work_id=work.envelope.id,
    )


def _standing_after(verdict: Verdict, change: AttemptChange) -> Standing:
    judgement, situation = verdict.judgement, verdict.situation
    if judgement.bill is not None:
        situation = situation.with_bill(judgement.bill)
    for released in judgement.released:
        situation = situation.with_bill(released)
    # An attempt in flight is no trouble yet: PENDING is for outcomes that are in doubt.
    others = (one for one in situation.attempts if one.attempt_key != change.attempt_key)
    states = {change.state, *(one.state for one in others)}
    return standing(situation, is_unknown="unknown" in states)


def _outgoing(
    verdict: Verdict,
    transfers: Mapping[str, int],
    states: Mapping[str, AccountState],
    work: Work,
    terms: Terms,
) -> list[outbox.NewOutboxRow]:
    attempt, judgement = verdict.attempt, verdict.judgement
    transfer_id = transfers.get(attempt.attempt_key)
    dedupe_key: str | None = None
    event: Event
    if judgement.announces == "succeeded" and transfer_id is not None:
        event = _succeeded(attempt, judgement, transfer_id)
    elif judgement.announces == "failed":
        event = _failed(attempt, judgement, states[attempt.account_id])
        if transfer_id is not None:
            # A success taken back: the same attempt may have been announced as failed before.
            dedupe_key = f"{event.default_dedupe_key()}:{transfer_id}"
    else:
        return []
    row = outbox_row(
        event,
        tenant=work.envelope.tenant,
        source=SOURCE,
        now=terms.now,
        traceparent=work.envelope.traceparent,
        dedupe_key=dedupe_key,
    )
    return [row]


def _succeeded(attempt: Attempt, judgement: Judgement, transfer_id: int) -> PaymentSucceeded:
    return PaymentSucceeded(
        account_id=attempt.account_id,
        period_start=attempt.period_start,
        attempt_no=attempt.attempt_no,
        amount_minor=attempt.amount_minor,
        currency=attempt.currency,
        gateway=attempt.gateway,
        gateway_reference=judgement.attempt.gateway_reference if judgement.attempt else None,
        transfer_id=transfer_id,
    )


def _failed(attempt: Attempt, judgement: Judgement, state: AccountState) -> PaymentFailed:
    change, bill = judgement.attempt, judgement.bill
    return PaymentFailed(
        account_id=attempt.account_id,
        period_start=attempt.period_start,
        attempt_no=attempt.attempt_no,
        amount_minor=attempt.amount_minor,
        currency=attempt.currency,
        gateway=attempt.gateway,
        decline_code=_printable((change.decline_code if change else None) or "unspecified"),
        decline_kind=(change.decline_kind if change else None) or "soft",
        next_attempt_at=bill.next_attempt_at
        if bill and bill.collection_note not in STOPPED
        else None,
        account_state=state,
    )


def _printable(code: str) -> str:
    """A code that the contract lets through, whatever a gateway may think of."""
    return re.sub(r"[^A-Za-z0-9._-]", "_", code)[:64]
