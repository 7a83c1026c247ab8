"""Events that must leave because their transaction committed, and the relay's view of them.

Called by handlers, which add rows in the transaction that the events speak of, and by the relay,
which takes, sends and marks them. It does not know what a body says or where SQS is.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

CHANNEL: Final = "billfleet_outbox"
POSTPONED_S_MAX: Final = 300.0
FIFO: Final = ".fifo"
"""How the names of queues end that keep the order of a group."""


@dataclass(frozen=True, slots=True)
class NewOutboxRow:
    """An event on its way out; `event_id` is the envelope's id."""

    tenant_id: str
    event_id: str
    event_type: str
    route_kind: Literal["queue", "topic"]
    route_name: str
    group_id: str | None
    dedupe_key: str
    body: str


@dataclass(frozen=True, slots=True)
class OutboxRow:
    """An event that waits to be sent."""

    outbox_id: int
    tenant_id: str
    event_id: str
    event_type: str
    route_kind: Literal["queue", "topic"]
    route_name: str
    group_id: str | None
    dedupe_key: str
    body: str
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Known:
    """An event as whoever put it here may ask for it; `refused` says why it has not left yet."""

    event_id: str
    event_type: str
    route_kind: Literal["queue", "topic"]
    route_name: str
    dedupe_key: str
    body: str
    created_at: datetime
    sent_at: datetime | None
    refused: str | None


@dataclass(frozen=True, slots=True)
class Backlog:
    """How many events wait, and how long the oldest has waited."""

    depth: int
    oldest_age_s: float


_ADD = text("""
    INSERT INTO fleet.outbox
      (tenant_id, event_id, event_type, route_kind, route_name, group_id, dedupe_key, body)
    SELECT * FROM unnest(
      CAST(:tenant_ids AS text[]), CAST(:event_ids AS text[]), CAST(:event_types AS text[]),
      CAST(:route_kinds AS text[]), CAST(:route_names AS text[]), CAST(:group_ids AS text[]),
      CAST(:dedupe_keys AS text[]), CAST(:bodies AS text[]))
""")
_ADD_NEW = text(f"{_ADD.text} ON CONFLICT (event_id) DO NOTHING RETURNING event_id")
_FIND = text("""
    SELECT event_id, event_type, route_kind, route_name, dedupe_key, body, created_at, sent_at,
           refused
    FROM fleet.outbox
    WHERE tenant_id = :tenant_id AND event_id = ANY(CAST(:event_ids AS text[]))
""")
# Of a group on a FIFO queue only the oldest is taken: calls run side by side, entries fail one by
# one, and a second relay takes what the first has not, so the next would often get there first.
_TAKE = text(f"""
    SELECT outbox_id, tenant_id, event_id, event_type, route_kind, route_name, group_id, dedupe_key,
           body, created_at
    FROM fleet.outbox o WHERE sent_at IS NULL AND (try_at IS NULL OR try_at <= clock_timestamp())
      AND NOT (route_name LIKE '%{FIFO}' AND EXISTS (
        SELECT FROM fleet.outbox older
        WHERE older.sent_at IS NULL AND older.route_name LIKE '%{FIFO}'
          AND older.route_name = o.route_name AND older.group_id = o.group_id
          AND older.outbox_id < o.outbox_id))
    ORDER BY outbox_id LIMIT :limit
    FOR UPDATE OF o SKIP LOCKED
""")
_MARK_SENT = text("""
    UPDATE fleet.outbox SET sent_at = :now
    WHERE outbox_id = ANY(CAST(:outbox_ids AS bigint[])) AND sent_at IS NULL
""")
_POSTPONE = text("""
    UPDATE fleet.outbox AS o
    SET refusals = o.refusals + 1, refused = left(r.reason, 500),
        try_at = clock_timestamp()
          + least(CAST(:wait_max_s AS float8), power(2, least(o.refusals, 20)))
          * interval '1 second'
    FROM unnest(CAST(:outbox_ids AS bigint[]), CAST(:reasons AS text[])) AS r(outbox_id, reason)
    WHERE o.outbox_id = r.outbox_id AND o.sent_at IS NULL
""")
_PRUNE = text("""
    DELETE FROM fleet.outbox WHERE outbox_id IN (
      SELECT outbox_id FROM fleet.outbox WHERE sent_at < :before
      ORDER BY sent_at LIMIT :limit FOR UPDATE SKIP LOCKED)
""")
_BACKLOG = text("""
    SELECT count(*) AS depth,
           CAST(coalesce(extract(epoch FROM clock_timestamp() - min(created_at)), 0) AS float8)
             AS oldest_age_s
    FROM fleet.outbox WHERE sent_at IS NULL
""")


async def add(connection: AsyncConnection, rows: Sequence[NewOutboxRow]) -> None:
    """Put events into the outbox; they leave if and only if this transaction commits."""
    if not rows:
        return
    await connection.execute(_ADD, _columns(rows))


async def add_new(connection: AsyncConnection, rows: Sequence[NewOutboxRow]) -> frozenset[str]:
    """`add` for events that may be there already; returns the ids of those that were not."""
    if not rows:
        return frozenset()
    return frozenset((await connection.scalars(_ADD_NEW, _columns(rows))).all())


async def find(
    connection: AsyncConnection, tenant_id: str, event_ids: Sequence[str]
) -> dict[str, Known]:
    """What the outbox still knows of these events of the tenant, by id."""
    found = await connection.execute(_FIND, {"tenant_id": tenant_id, "event_ids": list(event_ids)})
    return {row["event_id"]: Known(**row) for row in found.mappings()}


async def take(connection: AsyncConnection, limit: int) -> list[OutboxRow]:
    """Return the oldest waiting events, held for this transaction alone.

    Another relay meanwhile gets the next ones, except that a group of a FIFO queue waits for its
    oldest to be sent. Ending the transaction without `mark_sent` gives them back.
    """
    found = await connection.execute(_TAKE, {"limit": limit})
    return [OutboxRow(**row) for row in found.mappings()]


async def mark_sent(connection: AsyncConnection, outbox_ids: Iterable[int], now: datetime) -> int:
    """Record that these events have left; returns how many had not been marked before."""
    done = await connection.execute(_MARK_SENT, {"outbox_ids": sorted(outbox_ids), "now": now})
    return done.rowcount


async def postpone(connection: AsyncConnection, refused: Mapping[int, str]) -> None:
    """Put refused events aside with their reasons; each waits twice as long as the time before.

    Others pass them by meanwhile, so that one event that no queue takes holds up nobody but, on a
    FIFO queue, its own group.
    """
    if refused:
        ids = sorted(refused)
        await connection.execute(
            _POSTPONE,
            {
                "outbox_ids": ids,
                "reasons": [refused[outbox_id] for outbox_id in ids],
                "wait_max_s": POSTPONED_S_MAX,
            },
        )


async def prune(connection: AsyncConnection, before: datetime, limit: int = 10_000) -> int:
    """Delete at most `limit` events sent before the given time; returns how many went."""
    done = await connection.execute(_PRUNE, {"before": before, "limit": limit})
    return done.rowcount


async def depth_and_age(connection: AsyncConnection) -> Backlog:
    """Return how many events wait and for how long, by the database's own clock."""
    found = await connection.execute(_BACKLOG)
    return Backlog(**found.mappings().one())


def _columns(rows: Sequence[NewOutboxRow]) -> dict[str, list[str | None]]:
    return {
        "tenant_ids": [row.tenant_id for row in rows],
        "event_ids": [row.event_id for row in rows],
        "event_types": [row.event_type for row in rows],
        "route_kinds": [row.route_kind for row in rows],
        "route_names": [row.route_name for row in rows],
        "group_ids": [row.group_id for row in rows],
        "dedupe_keys": [row.dedupe_key for row in rows],
        "bodies": [row.body for row in rows],
    }
