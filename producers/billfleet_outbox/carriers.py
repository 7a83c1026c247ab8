"""A relay with its engine and producer opened, the same face for sync and async drivers.

Opened by the command alone; a service that runs a relay itself has its own engine. It prints
nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import create_engine
from sqlalchemy.engine import URL
from sqlalchemy.ext.asyncio import create_async_engine

from billfleet_outbox.async_relay import AsyncRelay
from billfleet_outbox.relay import Relay
from billfleet_outbox.rows import Backlog, Round
from billfleet_outbox.tables import OutboxTables
from billfleet_producers import ClaimCheck, Producer, SyncProducer

SOURCE = "/outbox"
NO_STACK = "none"


class NoDriver(ValueError):
    """The database driver that the URL names is not installed; the message names it."""


@dataclass(frozen=True, slots=True)
class Carrier:
    """What the command does with an outbox."""

    create_tables: Callable[[], None]
    send_once: Callable[[], Round]
    prune: Callable[[datetime, int], int]
    backlog: Callable[[], Backlog]


@contextmanager
def open_carrier(
    url: URL, tables: OutboxTables, *, stack: str | None, claim_check: ClaimCheck | None
) -> Iterator[Carrier]:
    """A carrier over the driver that the URL names.

    Raises:
        NoDriver: it is not installed.
    """
    opened = _open_async if url.get_dialect().is_async else _open_blocking
    try:
        opening = opened(url, tables, stack or NO_STACK, claim_check)
        carrier = opening.__enter__()
    except ModuleNotFoundError as error:
        raise NoDriver(f"the driver {error.name} is not installed") from None
    try:
        yield carrier
    finally:
        opening.__exit__(None, None, None)


@contextmanager
def _open_blocking(
    url: URL, tables: OutboxTables, stack: str, claim_check: ClaimCheck | None
) -> Iterator[Carrier]:
    engine = create_engine(url)
    try:
        with SyncProducer(stack=stack, source=SOURCE, claim_check=claim_check) as producer:
            relay = Relay(engine, tables, producer)
            yield Carrier(
                lambda: tables.rows.metadata.create_all(engine),
                relay.send_once,
                relay.prune,
                relay.backlog,
            )
    finally:
        engine.dispose()


@contextmanager
def _open_async(
    url: URL, tables: OutboxTables, stack: str, claim_check: ClaimCheck | None
) -> Iterator[Carrier]:
    engine = create_async_engine(url)
    producer = Producer(stack=stack, source=SOURCE, claim_check=claim_check)

    async def create() -> None:
        async with engine.begin() as connection:
            await connection.run_sync(tables.rows.metadata.create_all)

    async def close() -> None:
        await producer.__aexit__(None, None, None)
        await engine.dispose()

    with asyncio.Runner() as runner:
        relay = AsyncRelay(engine, tables, producer)
        runner.run(producer.__aenter__())
        try:
            yield Carrier(
                lambda: runner.run(create()),
                lambda: runner.run(relay.send_once()),
                lambda before, count: runner.run(relay.prune(before, count)),
                lambda: runner.run(relay.backlog()),
            )
        finally:
            runner.run(close())
