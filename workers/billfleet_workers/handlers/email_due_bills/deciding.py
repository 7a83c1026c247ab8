"""What a request for due bills is answered, from the request that stands before it. Pure.

The handler asks under the account's lock, so the answer holds. It is what guarantees one mail a
window: the claim in DynamoDB only spares the work.
"""

from dataclasses import dataclass
from datetime import datetime

from billfleet_db.mail import Request
from billfleet_workers.handlers.due_bills_window import DUE_BILLS_LEASE, DUE_BILLS_WINDOW


@dataclass(frozen=True, slots=True)
class GoAhead:
    """Mail it. `supersedes`: a request whose mail has not been begun for too long."""

    supersedes: str | None = None


@dataclass(frozen=True, slots=True)
class AskedBefore:
    """A mail went, or is on its way: `last_sent_at` says when, `next_from` when to ask again."""

    duplicate_of: str
    last_sent_at: datetime | None
    next_from: datetime


Answer = GoAhead | AskedBefore


def answer(standing: Request | None, now: datetime) -> Answer:
    """What follows from the latest request of the account that was answered with a mail."""
    if standing is None or standing.mail_state == "refused":
        return GoAhead()
    if standing.state == "silent":
        return _until(standing, standing.asked_at, None, now)
    if standing.mail_state == "sent" and standing.sent_at is not None:
        return _until(standing, standing.sent_at, standing.sent_at, now)
    if standing.mail_state in {"sending", "uncertain"}:
        # It may be out already, so the whole window counts from when it was asked for.
        return _until(standing, standing.asked_at, None, now)
    if now >= standing.asked_at + DUE_BILLS_LEASE:
        return GoAhead(supersedes=standing.request_id)
    return AskedBefore(standing.request_id, None, standing.asked_at + DUE_BILLS_WINDOW)


def _until(
    standing: Request, since: datetime, last_sent_at: datetime | None, now: datetime
) -> Answer:
    next_from = since + DUE_BILLS_WINDOW
    if now >= next_from:
        return GoAhead()
    return AskedBefore(standing.request_id, last_sent_at, next_from)
