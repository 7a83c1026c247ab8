"""`billfleet loyalty replay` from the settings: database, queue, producer, and bars.

What a round is and what must come of it is `loyalty_replay`'s. It decides nothing.
"""

import asyncio
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from billfleet_contracts import QUEUES, Event
from billfleet_db import Database
from billfleet_ops.bars import bars
from billfleet_ops.configuration import clients_of
from billfleet_ops.loyalty_replay import Comparison, Round, compare, digest, set_up, spread
from billfleet_ops.purchase_plan import plan_cards, read_purchases
from billfleet_ops.queues import Backlog, backlog_of
from billfleet_producers import Producer
from billfleet_workers.settings import Settings

SET_UP_TIMEOUT_S = 300.0


@dataclass(frozen=True, slots=True)
class Played:
    """One round: how many messages were sent, how long it took, and what the books were then."""

    sent: int
    took_s: float
    digest: str


@dataclass(frozen=True, slots=True)
class Replay:
    """All rounds, and the comparison with the plan after the last one."""

    rounds: Sequence[Played]
    comparison: Comparison

    @property
    def is_right(self) -> bool:
        """Every lot is as planned, and no round after the first has changed anything."""
        unchanged = len({one.digest for one in self.rounds}) == 1
        return unchanged and not self.comparison.differences


async def play(
    settings: Settings,
    path: Path,
    tenant: str,
    *,
    cards_max: int | None,
    times: int,
    past_dedupe: bool,
    patience_s: float,
) -> Replay:
    """Send the plan of a file so many times, wait for the worker each time, compare.

    Raises:
        OpsError: the worker made no progress for `patience_s`, or messages are dead.
        UsageWrong: the file is no list of purchases.
    """
    plans = list(plan_cards(read_purchases(path), cards_max=cards_max))
    database = Database.connect(
        settings.database_url.get_secret_value(),
        pool_size=1,
        statement_timeout_s=SET_UP_TIMEOUT_S,
    )
    producer = Producer(
        stack=settings.stack,
        source="/billfleet/replay",
        region=settings.aws_region,
        endpoint_url=settings.aws_endpoint_url,
    )
    clients = clients_of(settings)

    async def backlog() -> Backlog:
        queue = QUEUES["loyalty.fifo"]
        return await asyncio.to_thread(backlog_of, clients, settings.stack, queue)

    try:
        await set_up(database, tenant, plans)
        events, rounds = spread(plans), list[Played]()
        async with producer:
            for number in range(1, times + 1):
                is_new = past_dedupe or number > 1
                suffix = f":again-{uuid.uuid4()}" if is_new else ""
                one = Round(producer, backlog, tenant, key_suffix=suffix, patience_s=patience_s)
                took_s = await _play(one, events, f"round {number} of {times}")
                rounds.append(Played(len(events), took_s, await digest(database, tenant)))
        return Replay(rounds, await compare(database, tenant, plans))
    finally:
        await database.close()


async def _play(one: Round, events: Sequence[Event], name: str) -> float:
    """Play a round with bars; how long it took."""
    started_s = time.perf_counter()
    with bars() as shown:
        sending = shown.add_task(f"{name}, messages sent", total=len(events))
        doing = shown.add_task(f"{name}, messages done", total=len(events))

        def progress(sent: int, done: int) -> None:
            shown.update(sending, completed=sent)
            shown.update(doing, completed=done)

        await one.play(events, progress)
    return time.perf_counter() - started_s
