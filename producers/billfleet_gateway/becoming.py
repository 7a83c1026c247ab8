"""What became of a piece of work: pieces of evidence, put into one word.

The work routes ask. Evidence comes from the database first, where the effect is; the fleet's
dedupe store is asked only while nothing there says how it ended. It changes nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

import orjson
import structlog
from sqlalchemy.ext.asyncio import AsyncConnection

from billfleet_contracts import (
    AddPoints,
    CancelTransaction,
    DueBillsRequested,
    Envelope,
    ExportRequested,
    IssueStamps,
    RedeemReward,
    decode,
)
from billfleet_db import exports, outbox, work_traces
from billfleet_db.loyalty import transactions
from billfleet_db.mail import requests
from billfleet_db.outbox import Known
from billfleet_gateway.door import Door
from billfleet_gateway.ports import WorkRecord

State = Literal["accepted", "queued", "working", "done", "refused", "failed"]
ENDS: Final = frozenset({"done", "refused", "failed"})
TELLING: Final = frozenset({"Permanent", "InvalidEvent", "PayloadMismatch"})
_log = structlog.get_logger("billfleet.gateway")


@dataclass(frozen=True, slots=True)
class Became:
    """What became of a piece of work by now."""

    work_id: str
    type: str | None
    state: State
    accepted_at: datetime | None = None
    queued_at: datetime | None = None
    ended_at: datetime | None = None
    reason: str | None = None
    outcome: Mapping[str, int | str] | None = None

    @property
    def is_end(self) -> bool:
        """Whether nothing more will be told of it."""
        return self.state in ENDS


@dataclass(frozen=True, slots=True)
class Ending:
    """How work ended, or that it is being done, as the tables of its family say."""

    state: State
    at: datetime | None
    reason: str | None = None
    outcome: Mapping[str, int | str] | None = None


async def became(door: Door, tenant: str, work_id: str) -> Became | None:
    """What became of the tenant's work; None where there is no such work, or no more."""
    async with door.of_tenant(tenant) as connection:
        known = (await outbox.find(connection, tenant, [work_id])).get(work_id)
        if known is None:
            return await _from_the_ledger(connection, tenant, work_id)
        envelope = decode(known.body)
        ending = await _ending(connection, envelope) or _delivered(
            await work_traces.latest_delivery(connection, tenant, work_id)
        )
    if ending is not None and ending.state not in ENDS:
        return _told(known, ending.state, ending.reason)
    if ending is None and known.sent_at is not None and known.route_kind == "queue":
        ending, is_working = _of_record(await _look(door, tenant, known))
        if ending is None:
            return _told(known, "working" if is_working else "queued")
    if ending is None:
        return _told(known, "accepted" if known.sent_at is None else "queued", known.refused)
    return Became(
        known.event_id,
        known.event_type,
        ending.state,
        known.created_at,
        known.sent_at,
        ending.at,
        ending.reason,
        ending.outcome,
    )


def _delivered(last: work_traces.Ended | None) -> Ending | None:
    """A delivery that was done or buried is an end; one that will be tried again is none."""
    if last is None or last.outcome == "retry":
        return None
    if last.outcome == "done":
        return Ending("done", last.at, outcome=_note(last.note))
    # What a handler says of the work is for its sender; what broke inside is for the operators.
    reason = last.note if last.error_class in TELLING else "it could not be done; operators know"
    return Ending("failed", last.at, reason)


def _told(known: Known, state: State, reason: str | None = None) -> Became:
    return Became(
        known.event_id, known.event_type, state, known.created_at, known.sent_at, reason=reason
    )


async def _from_the_ledger(connection: AsyncConnection, tenant: str, work_id: str) -> Became | None:
    """Work of long ago, or of a sweep, that has left nothing but its transfers."""
    trace = await work_traces.in_ledger(connection, tenant, work_id)
    if trace is None:
        return None
    outcome = {"transfers": trace.transfers}
    return Became(work_id, None, "done", ended_at=trace.last_at, outcome=outcome)


async def _look(door: Door, tenant: str, known: Known) -> WorkRecord | None:
    if door.records is None:
        return None
    try:
        return await door.records.look(tenant, known.route_name, known.dedupe_key)
    except OSError as error:
        # What is known without the store is still worth telling.
        _log.warning("work_records_away", reason=str(error))
        return None


def _of_record(record: WorkRecord | None) -> tuple[Ending | None, bool]:
    if record is None:
        return None, False
    if record.state == "working":
        return None, True
    return Ending("done", record.at, outcome=_note(record.note)), False


def _note(note: str) -> Mapping[str, int | str] | None:
    try:
        said = orjson.loads(note)
    except orjson.JSONDecodeError:
        return None
    return said if isinstance(said, dict) else None


async def _ending(connection: AsyncConnection, envelope: Envelope) -> Ending | None:
    find = _ENDINGS.get(type(envelope.data))
    return None if find is None else await find(connection, envelope)


async def _loyalty(connection: AsyncConnection, envelope: Envelope) -> Ending | None:
    event = envelope.data
    assert isinstance(event, AddPoints | IssueStamps | RedeemReward | CancelTransaction)  # noqa: S101 - by `_ENDINGS`
    found = await transactions.get(connection, envelope.tenant, event.transaction_id)
    if found is None or found.work_id != envelope.id:
        return None
    outcome: dict[str, int | str] = {"transaction_id": found.transaction_id}
    if found.quantity is not None:
        outcome["quantity"] = found.quantity
    return Ending(found.state, found.recorded_at, found.reason, outcome)


async def _due_bills(connection: AsyncConnection, envelope: Envelope) -> Ending | None:
    event = envelope.data
    assert isinstance(event, DueBillsRequested)  # noqa: S101 - by `_ENDINGS`
    found = await requests.get(connection, envelope.tenant, event.request_id)
    if found is None:
        return None
    if found.state == "refused":
        return Ending("refused", found.asked_at, found.reason)
    if found.state != "accepted":
        return Ending("done", found.asked_at, outcome={"answer": found.state})
    if found.mail_state == "sent":
        return Ending("done", found.sent_at, outcome={"answer": "mailed"})
    if found.mail_state in {"refused", "uncertain"}:
        return Ending("refused", found.asked_at, found.mail_reason)
    return Ending("working", None)


async def _export(connection: AsyncConnection, envelope: Envelope) -> Ending | None:
    event = envelope.data
    assert isinstance(event, ExportRequested)  # noqa: S101 - by `_ENDINGS`
    export_id = UUID(event.export_id)
    found = await exports.find(connection, envelope.tenant, export_id, now=envelope.time)
    if found is None or found.work_id != envelope.id:
        return None
    outcome: dict[str, int | str] = {"export_id": event.export_id, "rows": found.rows_written}
    match found.state:
        case "requested":
            return None
        case "running":
            return Ending("working", None)
        case "failed" | "cancelled":
            return Ending("refused", found.finished_at, found.failure or found.state, outcome)
        case _:
            return Ending("done", found.finished_at, outcome=outcome)


_Finder = Callable[[AsyncConnection, Envelope], Awaitable[Ending | None]]
_ENDINGS: Final[Mapping[type, _Finder]] = {
    AddPoints: _loyalty,
    IssueStamps: _loyalty,
    RedeemReward: _loyalty,
    CancelTransaction: _loyalty,
    DueBillsRequested: _due_bills,
    ExportRequested: _export,
}
