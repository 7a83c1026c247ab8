"""`edit`: one message is taken in hand, changed, checked, and sent.

`commands/replay_dlq` calls it. The message stays hidden while somebody edits; whatever happens,
it is handed back unless its edited copy stands in its queue.
"""

import asyncio
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from billfleet_ops.errors import Refused, file_errors_mapped
from billfleet_ops.output import Output
from billfleet_ops.replay import editing, views
from billfleet_ops.replay.finding import find_message
from billfleet_ops.replay.given import GivenMessages
from billfleet_ops.replay.journal import Journal
from billfleet_ops.replay.pace import Pace
from billfleet_ops.replay.places import address_book
from billfleet_ops.replay.run import Replayer, Report, Request, Tools
from billfleet_ops.replay.scan import hidden_s_for, kept_hidden
from billfleet_ops.replay.session import Session, opened
from billfleet_workers.runtime.ports.dead_letters import DeadMessage, QueueFacts
from billfleet_workers.runtime.ports.queue import Hiding


async def edit(
    output: Output,
    message_id: str,
    named: Sequence[str],
    *,
    to: str | None,
    body: Path | None,
    acts: bool,
    as_json: bool,
) -> bool:
    """Find it, edit it, check it, and send it."""
    async with opened() as session:
        queues = await session.queues(named)
        queue, reading = await find_message(session.letters, queues, message_id, session.clock)
        message, hidden_s = reading.message, hidden_s_for(queue.waiting)
        is_handed_back = True
        try:
            async with kept_hidden(
                session.letters, queue.url, [message], clock=session.clock, hidden_s=hidden_s
            ):
                edited = await asyncio.to_thread(_edited, message.body, body)
            _refuse_unchanged(message, edited)
            report = await send_edited(
                session, queue, replace(message, body=edited), message.body, to=to, acts=acts
            )
            is_handed_back = report.taken_out == 0
        finally:
            if is_handed_back:
                await session.letters.hide(queue.url, [Hiding(message.receipt_handle, 0)])
        if not acts:
            output.note(f"The edited body is in {_save(session.home, message.message_id, edited)}")
    if as_json:
        output.json(views.report_json(queue.name, report, None))
    else:
        output.say(editing.difference(message.body, edited))
        views.show_report(output, queue.name, report, None)
    return views.exits_well(report)


def _edited(body: str, file: Path | None) -> str:
    if file is not None:
        with file_errors_mapped(file):
            return editing.packed(file.read_text(encoding="utf-8"))
    return editing.packed(editing.editor_of_the_environment(editing.for_reading(body)))


def _refuse_unchanged(message: DeadMessage, edited: str) -> None:
    if editing.packed(message.body) == edited:
        raise Refused(
            "The body is as it was",
            where=message.message_id,
            remedy="Change it and save it, or bring it home as it is with `replay-dlq replay`.",
        )


def _save(home: Path, message_id: str, edited: str) -> Path:
    path = home.expanduser().absolute() / "replay" / f"edited-{message_id}.json"
    with file_errors_mapped(path):
        path.touch(mode=0o600)
        path.write_text(editing.for_reading(edited), encoding="utf-8")
    return path


async def send_edited(
    session: Session,
    queue: QueueFacts,
    message: DeadMessage,
    original_body: str,
    *,
    to: str | None,
    acts: bool,
) -> Report:
    """Plan the edited message, or send it and take the original out; the journal keeps both."""
    request = Request(
        run=session.new_run(),
        queue=queue,
        book=await address_book(session.letters, session.stack, queue, to),
        acts=acts,
    )
    with closing(Journal.open(session.home, queue.name, queue.url)) as journal:
        if acts:
            journal.write(
                "edited",
                [message.message_id],
                run=request.run,
                now=session.clock.now(),
                details={message.message_id: {"original_body": original_body}},
            )
        letters = GivenMessages(session.letters, iter([message]), inside=True)
        tools = Tools(letters, session.dedupe, journal, session.clock)
        return await Replayer(tools, request, pace=Pace(None, session.clock)).run()
