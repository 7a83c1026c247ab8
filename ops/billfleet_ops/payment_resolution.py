"""A person's word about an attempt whose outcome nobody could find out.

`billfleet payments resolve` calls it. It changes no attempt itself: it puts a `PaymentReported`
into the outbox, in the transaction that has seen the attempt open under the account's lock, and
the collect worker looks once more before it records anything.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from billfleet_contracts import PaymentReported, wrap
from billfleet_db import accounts, attempts, outbox
from billfleet_db.attempts import UNRESOLVED, Attempt
from billfleet_ops.errors import Refused, UsageWrong
from billfleet_producers.outgoing import Outgoing

SOURCE: Final = "/billfleet/payments"
OPERATOR: Final = "operator"


@dataclass(frozen=True, slots=True)
class Word:
    """What the operator says became of the attempt: a reference, or the code of a decline."""

    reference: str | None = None
    decline_code: str | None = None


async def find_open(connection: AsyncConnection, attempt_key: str, now: datetime) -> Attempt:
    """Lock the account and return the attempt, which is open and in nobody's hands.

    Raises:
        UsageWrong: there is no such attempt.
        Refused: it is concluded, or a worker is calling the gateway about it right now.
    """
    tenant = attempt_key.partition(":")[0]
    named = await attempts.by_key(connection, tenant, attempt_key)
    if named is None:
        raise UsageWrong(
            f"There is no attempt {attempt_key!r}",
            where="KEY",
            remedy="`billfleet payments unresolved` lists the keys that wait for an answer.",
        )
    await accounts.lock_accounts(connection, tenant, [named.account_id])
    attempt = await attempts.by_key(connection, tenant, attempt_key)
    if attempt is None or attempt.state not in UNRESOLVED:
        raise Refused(
            f"The attempt is {attempt.state if attempt else 'gone'}: there is nothing to resolve",
            where=attempt_key,
            remedy="`billfleet payments show ACCOUNT --tenant T` tells its story.",
        )
    if attempt.leased_until is not None and attempt.leased_until > now:
        raise Refused(
            "A worker is asking the gateway about this attempt right now",
            where=attempt_key,
            remedy=f"Wait until {attempt.leased_until:%H:%M:%S} UTC and look again.",
        )
    return attempt


async def report(
    connection: AsyncConnection, attempt: Attempt, word: Word, *, event_id: str, now: datetime
) -> None:
    """Put the operator's word on its way to the collect worker."""
    event = PaymentReported(
        gateway=OPERATOR,
        gateway_event_id=event_id,
        attempt_key=attempt.attempt_key,
        result="declined" if word.decline_code else "succeeded",
        gateway_reference=word.reference,
        decline_code=word.decline_code,
        occurred_at=now,
    )
    envelope = wrap(event, tenant=attempt.tenant_id, source=SOURCE, now=now, id=event_id)
    leaving = Outgoing.from_envelope(envelope)
    row = outbox.NewOutboxRow(
        tenant_id=attempt.tenant_id,
        event_id=envelope.id,
        event_type=envelope.type,
        route_kind=leaving.route.kind,
        route_name=leaving.route.name,
        group_id=leaving.group_id,
        dedupe_key=envelope.dedupekey,
        body=leaving.body,
    )
    await outbox.add(connection, [row])
