"""`list` and `show`: looking into dead-letter queues without taking anything out.

`commands/replay_dlq` calls these with options already understood. What is looked at is handed
back at once.
"""

import asyncio
from collections.abc import Sequence
from contextlib import closing

from billfleet_ops.output import Output
from billfleet_ops.replay import views
from billfleet_ops.replay.finding import find_message
from billfleet_ops.replay.journal import Journal
from billfleet_ops.replay.peek import Peek, peek
from billfleet_ops.replay.places import address_book
from billfleet_ops.replay.plan import Known, Planned, Rules, judge
from billfleet_ops.replay.reading import Reading
from billfleet_ops.replay.session import Session, opened
from billfleet_workers.runtime.ports.dead_letters import QueueFacts
from billfleet_workers.runtime.ports.queue import Hiding


async def list_queues(output: Output, named: Sequence[str], limit: int, *, as_json: bool) -> None:
    """Peek into each queue."""
    async with opened() as session:
        queues = await session.queues(named)
        peeks = await asyncio.gather(*(_peek(session, one, limit, output) for one in queues))
    if as_json:
        output.json([views.peek_json(one) for one in peeks])
    else:
        views.show_peeks(output, peeks, session.clock.now())


async def _peek(session: Session, queue: QueueFacts, limit: int, output: Output) -> Peek:
    if queue.redrives_to is not None:
        # A look counts as a receive, and here that could move the message on.
        output.note(f"{queue.name} has a redrive policy of its own, so it was not looked into.")
        return Peek(queue)
    return await peek(session.letters, queue, session.clock, limit=limit)


async def show(
    output: Output, message_id: str, named: Sequence[str], to: str | None, *, as_json: bool
) -> None:
    """One message, with its verdict."""
    async with opened() as session:
        queues = await session.queues(named)
        queue, reading = await find_message(session.letters, queues, message_id, session.clock)
        try:
            plan = await plan_one(session, queue, reading, to)
        finally:
            handle = reading.message.receipt_handle
            await session.letters.hide(queue.url, [Hiding(handle, 0)])
    if as_json:
        output.json(views.message_json(queue.name, plan))
    else:
        views.show_message(output, queue.name, plan)


async def plan_one(
    session: Session, queue: QueueFacts, reading: Reading, to: str | None
) -> Planned:
    """What would become of this message if it were replayed now."""
    book = await address_book(session.letters, session.stack, queue, to)
    address = book.find(reading)
    key = address.key_of(reading.envelope) if address and reading.envelope else None
    records = await session.dedupe.read([key]) if key else [None]
    with closing(Journal.open(session.home, queue.name, queue.url)) as journal:
        known = Known(address, records[0], journal.step_of(reading.id))
    return judge(reading, known, Rules(), session.clock.now())
