"""`export` and `purge`: messages into files, and out of a queue.

`commands/replay_dlq` calls these with options already understood. The passes themselves are in
`taking`.
"""

import sys
from collections.abc import Sequence
from contextlib import nullcontext
from datetime import datetime
from pathlib import Path
from typing import IO

from billfleet_ops.errors import UsageWrong, file_errors_mapped
from billfleet_ops.output import Output
from billfleet_ops.replay.filters import Filter
from billfleet_ops.replay.places import address_book
from billfleet_ops.replay.session import Session, opened
from billfleet_ops.replay.taking import DoneOnly, Taken, take
from billfleet_workers.runtime.ports.dead_letters import QueueFacts


async def export(
    output: Output, named: Sequence[str], meant: Filter, output_file: Path | None
) -> None:
    """Lines into a file or onto standard output."""
    opening = nullcontext(sys.stdout) if output_file is None else _private_file(output_file)
    with file_errors_mapped(output_file or "standard output"), opening as into:
        async with opened() as session:
            for queue in await session.queues(named):
                taken = await take(
                    session.letters, queue, session.clock, meant, into=into, deletes=False
                )
                output.note(f"{queue.name}: looked at {taken.looked_at}, wrote {taken.meant}.")


def _private_file(path: Path) -> IO[str]:
    """A file that its owner alone can read: bodies hold whatever producers put in."""
    with file_errors_mapped(path):
        path.absolute().parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        return path.open("a", encoding="utf-8")


async def purge(
    output: Output,
    named: Sequence[str],
    meant: Filter,
    *,
    done_only: bool,
    acts: bool,
    now: datetime,
    as_json: bool,
) -> None:
    """Copy into a file, then delete."""
    if not named:
        raise UsageWrong(
            "Name the queue to purge",
            where="--queue",
            remedy="`replay-dlq list` shows them; purge takes no queue by default.",
        )
    results = []
    async with opened() as session:
        for queue in await session.queues(named):
            path = session.home.expanduser().absolute() / "replay"
            path = path / f"purged-{queue.name}-{now:%Y%m%dT%H%M%SZ}.jsonl"
            taken = await _purge_queue(session, queue, meant, path, done_only=done_only, acts=acts)
            copy = str(path) if acts and taken.meant else None
            results.append({"queue": queue.name, **vars(taken), "copy": copy})
            if not as_json:
                said = f"deleted {taken.deleted}, copy in {copy}" if copy else "nothing deleted"
                output.say(
                    f"{queue.name}: looked at {taken.looked_at}, {taken.meant} are meant; {said}."
                )
    if as_json:
        output.json(results)


async def _purge_queue(
    session: Session,
    queue: QueueFacts,
    meant: Filter,
    path: Path,
    *,
    done_only: bool,
    acts: bool,
) -> Taken:
    chooser = None
    if done_only:
        book = await address_book(session.letters, session.stack, queue, None)
        chooser = DoneOnly(session.dedupe, book)
    if not acts:
        return await take(
            session.letters,
            queue,
            session.clock,
            meant,
            into=None,
            deletes=False,
            done_only=chooser,
        )
    with file_errors_mapped(path), _private_file(path) as into:
        return await take(
            session.letters,
            queue,
            session.clock,
            meant,
            into=into,
            deletes=True,
            done_only=chooser,
        )
