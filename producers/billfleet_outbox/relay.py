"""`Relay`: carries the outbox to SQS and SNS, over a blocking engine.

Run by `billfleet-outbox relay`, or by a thread of the service. What was accepted is marked in the
transaction that took it: if the lights go out in between, rows leave again, and the fleet turns
the second delivery away by its dedupe key. Nothing is lost and nothing has two effects.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from sqlalchemy.engine import Engine

from billfleet_outbox.rows import Backlog, OutboxRows, Round
from billfleet_outbox.tables import OutboxTables
from billfleet_producers import Report, SyncProducer
from billfleet_producers.preparing import utc_now


class Relay:
    """Sends what waits, a round at a time.

    Args:
        engine: the service's database.
        tables: from `OutboxTables.add_to`.
        producer: open; large bodies need its `claim_check`.
        round_max: rows of one round.
        clock: the time, aware.
    """

    def __init__(
        self,
        engine: Engine,
        tables: OutboxTables,
        producer: SyncProducer,
        *,
        round_max: int = 200,
        clock: Callable[[], datetime] = utc_now,
    ) -> None:
        self._engine = engine
        self._rows = OutboxRows(tables)
        self._producer = producer
        self._round_max = round_max
        self._clock = clock

    def send_once(self) -> Round:
        """One round. A refused row is put aside with its reason; others pass it by.

        Raises:
            ProducerError: the producer is not open.
            sqlalchemy.exc.SQLAlchemyError: the database does not answer; nothing is marked.
        """
        with self._engine.connect() as connection:
            if not self._rows.has_due(connection, self._clock()):
                return Round()
        with self._engine.begin() as connection:
            self._rows.begin_turn(connection)
            taken = self._rows.take(connection, self._round_max, self._clock())
            report = self._producer.send_batch(taken.values()) if taken else Report((), ())
            return self._rows.mark(connection, report, self._clock())

    def prune(self, before: datetime, count_max: int = 1000) -> int:
        """Delete some of the rows that were sent before a time; returns how many."""
        with self._engine.begin() as connection:
            return self._rows.prune(connection, before, count_max)

    def backlog(self) -> Backlog:
        """What waits."""
        with self._engine.connect() as connection:
            return self._rows.backlog(connection)
