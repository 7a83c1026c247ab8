"""The outbox's two tables, for the caller's own metadata and migrations.

A service adds them to its `MetaData`, so that its migration tool makes them like any other table.
They use nothing that only one database has. It knows no event.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self

from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
)
from sqlalchemy.dialects.mysql import MEDIUMTEXT

_Id = BigInteger().with_variant(Integer, "sqlite")
_Time = DateTime(timezone=True)
# MySQL's TEXT would cut a large message at 64 KiB.
_Body = Text().with_variant(MEDIUMTEXT, "mysql", "mariadb")


@dataclass(frozen=True, slots=True)
class OutboxTables:
    """`rows` holds what is to leave; `turns` has one row, which the relay at work holds."""

    rows: Table
    turns: Table

    @classmethod
    def add_to(
        cls, metadata: MetaData, *, name: str = "billfleet_outbox", schema: str | None = None
    ) -> Self:
        """Define the tables in your metadata.

        Args:
            metadata: the service's own.
            name: of the table of rows; the other is called `<name>_turns`.
            schema: where both are, if not in the default schema.
        """
        rows = Table(
            name,
            metadata,
            Column("outbox_id", _Id, primary_key=True, autoincrement=True),
            Column("event_id", String(64), nullable=False, unique=True),
            Column("tenant", String(64), nullable=False),
            Column("event_type", String(128), nullable=False),
            Column("route_kind", String(8), nullable=False),
            Column("route_name", String(80), nullable=False),
            Column("group_id", String(128)),
            Column("deduplication_id", String(128)),
            Column("body", _Body, nullable=False),
            Column("created_at", _Time, nullable=False),
            Column("sent_at", _Time),
            Column("refusals", Integer, nullable=False, default=0, server_default="0"),
            Column("refused", Text),
            Column("try_at", _Time),
            Index(f"{name}_waiting", "sent_at", "outbox_id"),
            schema=schema,
        )
        turns = Table(
            f"{name}_turns",
            metadata,
            Column("turn_id", Integer, primary_key=True, autoincrement=False),
            Column("turns_taken", _Id, nullable=False, default=0, server_default="0"),
            schema=schema,
        )
        return cls(rows, turns)
