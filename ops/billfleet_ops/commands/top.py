"""`billfleet top`: queues, rates, dead letters and processes, live in the terminal.

The picture is the console's; this module draws it, once or again and again.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.console import Group
from rich.live import Live
from rich.text import Text

from billfleet_ops.configuration import load_settings
from billfleet_ops.console.picture import Picture, QueuePicture
from billfleet_ops.console.watching import Watch, fleet_queues
from billfleet_ops.exits import Exit
from billfleet_ops.output import Output, duration, harmless, table
from billfleet_ops.teaching import lesson
from billfleet_workers.runtime.backlog import DRAIN_S_MAX
from billfleet_workers.settings import Settings

SHORT = "Queues, rates, dead letters and processes, live."
EPILOG = lesson(
    ("billfleet top", "until Ctrl-C"),
    ("billfleet top --once", "one picture, with the rates of two seconds"),
    ("billfleet top --json | jq '.queues[] | select(.dead > 0)'", "for a program"),
)
RATES_AFTER_S = 2.0
SETBACKS_SHOWN = 5
NOTE_CHARS = 90


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("top", short_help=SHORT, epilog=EPILOG)(top)


def top(
    once: Annotated[bool, typer.Option("--once", help="One picture, then end.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One picture, for a program.")] = False,
) -> None:
    """Show what waits, what is done a second, what is dead, and which processes work on it.

    Rates come from the beats of processes, which are ten seconds apart. Nothing is received from
    any queue. Without a terminal it is one picture. It ends with 4 when the queues or the database
    do not answer.
    """
    output = Output()
    settings = load_settings()
    if once or as_json or not output.console.is_terminal:
        picture = asyncio.run(_look_twice(settings))
        if as_json:
            output.json(as_plain(picture))
        else:
            output.console.print(drawn(picture))
        if picture.problems:
            raise typer.Exit(Exit.UNREACHABLE)
        return
    asyncio.run(_watch(settings, output))


async def _look_twice(settings: Settings) -> Picture:
    async def look(watch: Watch) -> Picture:
        await watch.look()
        await asyncio.sleep(RATES_AFTER_S)
        await watch.look()
        return watch.picture

    return await _with_watch(settings, look)


async def _watch(settings: Settings, output: Output) -> None:
    async def draw(watch: Watch) -> Picture:
        watching = asyncio.create_task(watch.run())
        try:
            with Live(console=output.console, auto_refresh=False, screen=True) as live:
                while True:
                    await watch.changed()
                    live.update(drawn(watch.picture), refresh=True)
        finally:
            watching.cancel()

    await _with_watch(settings, draw)


async def _with_watch(settings: Settings, use: Callable[[Watch], Awaitable[Picture]]) -> Picture:
    # Imported here, because no other command should wait for the adapters to load.
    from billfleet_ops.console.serving import open_database
    from billfleet_workers.main.replaying import open_replay

    async with open_replay(settings) as ports, open_database(settings) as database:
        return await use(
            Watch(
                ports.letters,
                database,
                ports.clock,
                stack=settings.stack,
                queues=fleet_queues(settings.stack),
            )
        )


def drawn(picture: Picture) -> Group:
    """The picture for a person."""
    at = f"{picture.at:%Y-%m-%d %H:%M:%S} UTC" if picture.at else "not seen yet"
    parts: list[Any] = [
        Text(harmless(f"error: {one}"), style="bold red") for one in picture.problems
    ]
    parts.append(
        table(
            ("queue", "waiting", "in flight", "oldest", "done/s", "drains in", "read by", "dead"),
            [_row(one) for one in picture.queues.values() if one.own is not None],
            title=f"{picture.stack}, {at}",
        )
    )
    parts.append(
        table(
            ("process", "workers", "up", "memory", "lag", "in flight", "last beat", "state"),
            [_process_row(picture, one) for one in picture.processes],
        )
    )
    for one in picture.setbacks[:SETBACKS_SHOWN]:
        said = f"{one.at:%H:%M:%S} {one.queue} {one.outcome}: {one.error_class} {one.note}"
        parts.append(Text(harmless(said[:NOTE_CHARS])))
    return Group(*parts)


def _row(one: QueuePicture) -> tuple[str | int | float | None, ...]:
    drains = "never" if one.drain_s >= DRAIN_S_MAX else duration(one.drain_s or None)
    readers = "nobody" if one.is_unread else one.readers
    return (
        one.queue.name,
        one.waiting,
        one.in_flight,
        duration(one.oldest_age_s or None),
        round(one.ended_per_s, 1),
        drains,
        readers,
        one.dead_count,
    )


def _process_row(picture: Picture, one: Any) -> tuple[str | int | float | None, ...]:
    detail, now = one.detail, picture.at or one.beat_at
    problems = "; ".join(detail["problems"])
    return (
        f"{one.host}:{one.pid}",
        len(one.workers),
        duration((now - one.started_at).total_seconds()),
        f"{detail['memory_bytes'] / 2**20:.0f} MiB",
        f"{detail['loop_lag_ms']:.0f} ms",
        sum(queue["in_flight"] for queue in detail["queues"]),
        duration((now - one.beat_at).total_seconds()),
        problems or ("draining" if detail["is_draining"] else "well"),
    )


def as_plain(picture: Picture) -> dict[str, Any]:
    """The picture for a program."""
    return {
        "stack": picture.stack,
        "at": picture.at,
        "problems": list(picture.problems),
        "queues": [
            {
                "queue": one.queue.name,
                "exists": one.own is not None,
                "waiting": one.waiting,
                "in_flight": one.in_flight,
                "oldest_age_s": one.oldest_age_s,
                "ended_per_s": one.ended_per_s,
                "drain_s": one.drain_s,
                "readers": one.readers,
                "dead": one.dead_count,
            }
            for one in picture.queues.values()
        ],
        "processes": [asdict(one) for one in picture.processes],
        "setbacks": [asdict(one) for one in picture.setbacks],
        "backlog": asdict(picture.backlog) if picture.backlog else None,
    }
