"""A message's whole life from one id: made, received, claimed, ended, and what it left behind.

The page of a life asks for it. The pieces come from the outbox, from what workers told of
deliveries, from the dedupe store, from looks into dead-letter queues, and from every table that
names the message. What can't be known is said to be so.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from billfleet_contracts import ContractError, Envelope, decode
from billfleet_db import Database, actions, deliveries, traces
from billfleet_db.actions import Action
from billfleet_db.deliveries import Delivery
from billfleet_db.traces import OutboxEvent, Trace
from billfleet_ops.console.looks import Looks
from billfleet_ops.console.picture import Picture
from billfleet_ops.replay.reading import Reading
from billfleet_workers.runtime.ports.dedupe import DedupeStore, Record

TIMES = (
    "posted_at",
    "created_at",
    "recorded_at",
    "refused_at",
    "prepared_at",
    "requested_at",
)


@dataclass(frozen=True, slots=True)
class Step:
    """Something that happened to it. `kind` is what the page colours it by."""

    at: datetime | None
    kind: str
    title: str
    detail: str = ""
    link: str = ""


@dataclass
class Life:
    """Everything that is known of one message."""

    sought: str
    ids: list[str] = field(default_factory=list)
    event_type: str = ""
    tenant: str = ""
    dedupe_key: str = ""
    source: str = ""
    steps: list[Step] = field(default_factory=list)
    effects: Sequence[Trace] = ()
    caused: Sequence[OutboxEvent] = ()
    record: Record | None = None
    record_key: str = ""
    dead: tuple[str, Reading] | None = None

    @property
    def is_known(self) -> bool:
        """Whether anything was found."""
        return bool(self.steps or self.effects)


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the pieces come from."""

    database: Database
    dedupe: DedupeStore
    looks: Looks
    picture: Picture


async def life_of(sources: Sources, sought: str) -> Life:
    """Put the life of this id together."""
    life = Life(sought, [sought])
    _from_looks(life, sources.looks)
    async with sources.database.transaction() as connection:
        done = await actions.about(connection, life.ids)
        for action in done:
            _learn(life, *action.asked.get("names", ()))
        found = await deliveries.of(connection, life.ids)
    for one in found:
        _learn(life, one.event_id, one.message_id)
        _describe(life, one.event_type, one.tenant_id, one.dedupe_key, one.source)
    for event in await traces.outbox_of(sources.database, life.ids):
        _from_outbox(life, event)
    life.steps += [_delivery_step(one) for one in found]
    _at_work(life, sources.picture)
    await _ask_dedupe(life, sources.dedupe, [one.queue for one in found])
    life.effects = [
        one
        for one in await traces.traces_of(sources.database, life.ids)
        if one.rows or one.is_unknown
    ]
    await _caused(life, sources.database)
    life.steps += [_action_step(one) for one in done]
    life.steps.sort(key=lambda step: (step.at is None, step.at.timestamp() if step.at else 0))
    return life


def _learn(life: Life, *ids: str | None) -> None:
    life.ids += [one for one in ids if one and one not in life.ids]


def _describe(
    life: Life, event_type: str | None, tenant: str | None, key: str | None, source: str | None
) -> None:
    life.event_type = life.event_type or event_type or ""
    life.tenant = life.tenant or tenant or ""
    life.dedupe_key = life.dedupe_key or key or ""
    life.source = life.source or source or ""


def _from_looks(life: Life, looks: Looks) -> None:
    found = looks.find(life.sought)
    if found is None:
        return
    look, reading = found
    life.dead = (look.queue.name, reading)
    _learn(life, reading.id, reading.original_id, reading.event_id)
    if reading.envelope is not None:
        _made(life, reading.envelope)
    else:
        _describe(life, reading.contract, None, None, None)
    link = f"/dead-letters/{look.queue.name}/{reading.id}"
    title = f"Rests in {look.queue.name}"
    life.steps.append(Step(reading.message.sent_at, "poison", title, reading.reason, link))


def _made(life: Life, envelope: Envelope) -> None:
    if any(step.kind == "made" for step in life.steps):
        return
    _describe(life, envelope.type, envelope.tenant, envelope.dedupekey, envelope.source)
    title = f"Made by {envelope.source}"
    life.steps.append(Step(envelope.time, "made", title, f"event {envelope.id}"))


def _from_outbox(life: Life, event: OutboxEvent) -> None:
    _learn(life, event.event_id)
    _describe(life, event.event_type, event.tenant_id, event.dedupe_key, None)
    try:
        _made(life, decode(event.body))
    except ContractError:
        # Of a version that this console does not know; what the columns say is shown all the same.
        life.steps.append(Step(event.created_at, "made", "Made", event.event_type))
    where = f"for {event.route_name}"
    life.steps.append(Step(event.created_at, "sent", "Committed to the outbox", where))
    if event.sent_at is not None:
        life.steps.append(Step(event.sent_at, "sent", f"Sent to {event.route_name}"))
    else:
        waits = event.refused or "the relay has not taken it yet"
        life.steps.append(Step(None, "retry", "Waits in the outbox", waits))


def _delivery_step(one: Delivery) -> Step:
    times = "" if one.receive_count == 1 else f", receive {one.receive_count}"
    title = f"{one.outcome.capitalize()} on {one.queue}{times}"
    error = f"{one.error_class}: " if one.error_class else ""
    took = f" · {one.handle_ms:.0f} ms" if one.handle_ms >= 0.5 else ""
    return Step(
        one.at, one.outcome, title, f"{error}{one.note} · {one.worker_id}{took}".lstrip(" ·")
    )


def _action_step(one: Action) -> Step:
    title = f"{one.operator}: {one.verb}"
    return Step(one.begun_at, "action", title, one.result or "", f"/actions/{one.action_id}")


def _at_work(life: Life, picture: Picture) -> None:
    for process in picture.processes:
        for queue in process.detail.get("queues", ()):
            for one in queue.get("at_work", ()):
                if one["message_id"] in life.ids or one["event_id"] in life.ids:
                    title = f"At work on {queue['queue']}"
                    detail = f"for {one['age_s']:.0f} s · {process.worker_id}"
                    life.steps.append(Step(process.beat_at, "work", title, detail))


async def _ask_dedupe(life: Life, dedupe: DedupeStore, queues: Sequence[str]) -> None:
    """The record is found by tenant, queue and dedupe key, so these must be known."""
    origin = [life.dead[1].origin] if life.dead and life.dead[1].origin else []
    names = list(dict.fromkeys([*queues, *origin]))
    if not (life.tenant and life.dedupe_key and names):
        return
    keys = [f"{life.tenant}#{name}#{life.dedupe_key}" for name in names]
    for key, record in zip(keys, await dedupe.read(keys), strict=True):
        if record is None:
            continue
        life.record, life.record_key = record, key
        if record.completed_at is not None:
            step = Step(record.completed_at, "done", "Recorded as done", record.note or key)
        else:
            until = f"until {record.lease_until:%H:%M:%S}" if record.lease_until else ""
            step = Step(None, "work", f"Claimed {until}".rstrip(), key)
        life.steps.append(step)


async def _caused(life: Life, database: Database) -> None:
    """Events that were written in the same transactions as its effects."""
    times = {time for trace in life.effects for row in trace.rows if (time := time_of(row))}
    tenants = {
        str(row["tenant_id"]) for one in life.effects for row in one.rows if "tenant_id" in row
    }
    caused: dict[str, OutboxEvent] = {}
    for tenant in sorted(tenants):
        for event in await traces.outbox_written_at(database, tenant, sorted(times)):
            if event.event_id not in life.ids:
                caused[event.event_id] = event
    life.caused = list(caused.values())


def time_of(row: Mapping[str, Any]) -> datetime | None:
    """When a row was written, by the first of the usual columns that it has."""
    said = next((row[name] for name in TIMES if row.get(name)), None)
    try:
        return datetime.fromisoformat(str(said)) if said else None
    except ValueError:
        return None
