"""What a relay asks of the outbox's tables, and what it writes back.

Both relays call it inside one transaction a round. One relay is at work at a time: the first
statement of a round updates the one row of `turns`, which every database holds until commit, so
that order survives two relays. It sends nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Select, and_, delete, exists, func, insert, or_, select, update
from sqlalchemy.engine import Connection, Row
from sqlalchemy.exc import IntegrityError

from billfleet_contracts import Route
from billfleet_outbox.tables import OutboxTables
from billfleet_producers import Failure, Outgoing, Report

TURN: Final = 1
WAIT_FIRST_S: Final = 1.0
WAIT_MAX_S: Final = 300.0


@dataclass(frozen=True, slots=True)
class Round:
    """What one round did: rows that were sent, refused for good, or have to wait for AWS."""

    sent: int = 0
    refused: tuple[Failure, ...] = ()
    waiting: tuple[Failure, ...] = ()

    @property
    def taken(self) -> int:
        """How many rows it took."""
        return self.sent + len(self.refused) + len(self.waiting)


@dataclass(frozen=True, slots=True)
class Backlog:
    """How many rows wait, how many of them were refused, and since when the oldest waits."""

    waiting: int
    refused: int
    oldest: datetime | None


class OutboxRows:
    """The statements of a round, over a connection of any database."""

    def __init__(self, tables: OutboxTables) -> None:
        self._rows = tables.rows
        self._turns = tables.turns

    def has_due(self, connection: Connection, now: datetime) -> bool:
        """Whether a round would find anything; takes no lock."""
        return connection.execute(self._due(now).limit(1)).first() is not None

    def begin_turn(self, connection: Connection) -> None:
        """Wait until no other relay is at work."""
        turns = self._turns
        turn = update(turns).where(turns.c.turn_id == TURN)
        taken = turn.values(turns_taken=turns.c.turns_taken + 1)
        if connection.execute(taken).rowcount:
            return
        try:
            with connection.begin_nested():
                connection.execute(insert(turns).values(turn_id=TURN, turns_taken=0))
        except IntegrityError:
            # Another relay made the row in the same moment.
            pass
        connection.execute(taken)

    def take(self, connection: Connection, count_max: int, now: datetime) -> dict[str, Outgoing]:
        """The oldest rows whose time has come, as messages by event id, in order of writing."""
        found = connection.execute(self._due(now).limit(count_max)).all()
        return {row.event_id: _outgoing(row) for row in found}

    def mark(self, connection: Connection, report: Report, now: datetime) -> Round:
        """Write down what became of a round's messages."""
        sent = [receipt.event_id for receipt in report.sent]
        if sent:
            rows = self._rows
            connection.execute(update(rows).where(rows.c.event_id.in_(sent)).values(sent_at=now))
        refused = tuple(failure for failure in report.failed if _is_refused(failure))
        waiting = tuple(failure for failure in report.failed if not _is_refused(failure))
        for failure in refused:
            self._put_aside(connection, failure, now)
        return Round(len(sent), refused, waiting)

    def prune(self, connection: Connection, before: datetime, count_max: int) -> int:
        """Delete some of the rows that were sent before a time."""
        rows = self._rows
        old = select(rows.c.outbox_id).where(rows.c.sent_at < before).limit(count_max)
        ids = connection.execute(old).scalars().all()
        if ids:
            connection.execute(delete(rows).where(rows.c.outbox_id.in_(ids)))
        return len(ids)

    def backlog(self, connection: Connection) -> Backlog:
        """What waits."""
        rows = self._rows
        waits = select(func.count(), func.min(rows.c.created_at)).where(rows.c.sent_at.is_(None))
        count, oldest = connection.execute(waits).one()
        refused = waits.where(rows.c.refusals > 0)
        return Backlog(count, connection.execute(refused).one()[0], oldest)

    def _due(self, now: datetime) -> Select[Any]:
        rows, before = self._rows, self._rows.alias("before")
        # Of a FIFO group nothing passes a row that was put aside.
        is_behind = exists().where(
            and_(
                rows.c.deduplication_id.is_not(None),
                before.c.sent_at.is_(None),
                before.c.try_at > now,
                before.c.route_name == rows.c.route_name,
                before.c.group_id == rows.c.group_id,
                before.c.outbox_id < rows.c.outbox_id,
            )
        )
        due = or_(rows.c.try_at.is_(None), rows.c.try_at <= now)
        return (
            select(rows).where(rows.c.sent_at.is_(None), due, ~is_behind).order_by(rows.c.outbox_id)
        )

    def _put_aside(self, connection: Connection, failure: Failure, now: datetime) -> None:
        rows = self._rows
        this = rows.c.event_id == failure.what.event_id
        refusals = connection.execute(select(rows.c.refusals).where(this)).scalar_one()
        wait_s = min(WAIT_MAX_S, WAIT_FIRST_S * 2.0 ** min(refusals, 20))
        connection.execute(
            update(rows)
            .where(this)
            .values(
                refusals=refusals + 1,
                refused=str(failure.error),
                try_at=now + timedelta(seconds=wait_s),
            )
        )


def _is_refused(failure: Failure) -> bool:
    # What was held back behind a refused message of its FIFO group was never asked about.
    return not failure.retriable and failure.code != "HeldBack"


def _outgoing(row: Row[object]) -> Outgoing:
    return Outgoing.from_body(
        row.body,
        route=Route(row.route_kind, row.route_name),
        group_id=row.group_id,
        event_id=row.event_id,
        deduplication_id=row.deduplication_id,
        event_type=row.event_type,
    )
