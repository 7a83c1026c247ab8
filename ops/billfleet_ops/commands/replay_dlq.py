"""`billfleet replay-dlq`, and `replay-dlq` by itself: dead-letter queues, and the way home.

This module takes options and prints; what happens is in `billfleet_ops.replay`.
"""

import asyncio
import os
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from billfleet_ops.errors import UsageWrong
from billfleet_ops.exits import Exit
from billfleet_ops.output import Output
from billfleet_ops.replay import emptying, homecoming, looking, mending, options
from billfleet_ops.teaching import lesson

GROUP_EPILOG = lesson(
    ("billfleet replay-dlq list", "what lies in every dead-letter queue, by cause"),
    ("billfleet replay-dlq show MESSAGE_ID", "one message: why, its history, what dedupe says"),
    ("billfleet replay-dlq replay", "the plan; nothing is done"),
    ("billfleet replay-dlq replay --canary 10 --yes", "ten first, the rest if they go well"),
)
LIST_EPILOG = lesson(
    ("billfleet replay-dlq list", "the fleet's dead-letter queues"),
    ("billfleet replay-dlq list --queue orders-dlq --peek 1000", "any queue, a longer look"),
)
SHOW_EPILOG = lesson(
    ("billfleet replay-dlq show 5fea7756-0ea4-451a-a703-a558b933e274", "any of its ids"),
)
REPLAY_EPILOG = lesson(
    ("billfleet replay-dlq replay --queue rebill", "the plan for one queue"),
    ("billfleet replay-dlq replay --fingerprint 3f9a --yes", "one cause, carried out"),
    ("billfleet replay-dlq replay --where accounts.account_id=A-1", "by a field of the event"),
    ("billfleet replay-dlq replay --canary 10 --rate 50 --yes", "carefully, into a sore system"),
    (
        "billfleet replay-dlq replay --force-key KEY --if-completed-at TIME --yes",
        "run work again that is recorded as done; `show` prints this line",
    ),
)
EDIT_EPILOG = lesson(
    ("billfleet replay-dlq edit MESSAGE_ID", "opens $EDITOR, checks, shows the difference"),
    ("billfleet replay-dlq edit MESSAGE_ID --yes", "and sends the edited message"),
    ("billfleet replay-dlq edit MESSAGE_ID --body mended.json --yes", "without an editor"),
)
EXPORT_EPILOG = lesson(
    ("billfleet replay-dlq export --queue rebill --output dead.jsonl", "a copy; nothing leaves"),
    ("billfleet replay-dlq export --queue rebill | jq -r .reason | sort | uniq -c", "for a pipe"),
)
IMPORT_EPILOG = lesson(
    ("billfleet replay-dlq import dead.jsonl", "the plan"),
    ("billfleet replay-dlq import dead.jsonl --yes", "sent to where they belong, each once"),
)
PURGE_EPILOG = lesson(
    ("billfleet replay-dlq purge --queue rebill --done --yes", "those whose work is done"),
    ("billfleet replay-dlq purge --queue rebill --older-than 10d --yes", "the old ones"),
)

group = typer.Typer(
    name="replay-dlq",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    help="Dead-letter queues: list, show, replay, edit, export, import, purge.",
    epilog=GROUP_EPILOG,
)


def register(app: typer.Typer) -> None:
    """Add the group of commands."""
    app.add_typer(group, name="replay-dlq")


def main() -> NoReturn:
    """The console script `replay-dlq`."""
    from billfleet_ops.configuration import home_directory
    from billfleet_ops.endings import end

    code = end(
        lambda: group(args=sys.argv[1:], prog_name="replay-dlq"),
        output=Output(),
        home=home_directory(),
        debug=os.environ.get("BILLFLEET_DEBUG") == "1",
    )
    sys.exit(code)


@group.command("list", epilog=LIST_EPILOG)
def list_queues(
    queue: options.Queues = None,
    peek: Annotated[
        int, typer.Option(min=1, max=100_000, help="Look at so many messages of each.")
    ] = 100,
    as_json: options.AsJson = False,
) -> None:
    """List dead-letter queues: depth, oldest age, and groups of the same cause.

    Groups come from a bounded look. What is looked at is hidden for a moment, handed back at
    once, and its receive count in the dead-letter queue goes up by one. Nothing else changes.
    """
    asyncio.run(looking.list_queues(Output(), queue or [], peek, as_json=as_json))


@group.command("show", epilog=SHOW_EPILOG)
def show(
    message_id: Annotated[
        str, typer.Argument(metavar="MESSAGE_ID", help="In the queue, original, or the event's.")
    ],
    queue: options.Queues = None,
    to: options.To = None,
    as_json: options.AsJson = False,
) -> None:
    """Show one message: why it lies there, its history, its body, and what dedupe says.

    SQS can't look up by id, so the queue is gone through once. Without --queue, all of the
    fleet's are.
    """
    asyncio.run(looking.show(Output(), message_id, queue or [], to, as_json=as_json))


@group.command("replay", epilog=REPLAY_EPILOG)
def replay(
    queue: options.Queues = None,
    to: options.To = None,
    event_type: options.Type = None,
    tenant: options.Tenant = None,
    fingerprint: options.Fingerprint = None,
    older_than: options.OlderThan = None,
    younger_than: options.YoungerThan = None,
    where: options.Where = None,
    containing: options.Containing = None,
    message_id: options.OneId = None,
    limit: options.Limit = None,
    rate: options.Rate = None,
    concurrency: options.Concurrency = 4,
    canary: options.Canary = None,
    canary_wait: options.CanaryWait = "2m",
    force_key: options.ForceKey = None,
    if_completed_at: options.IfCompletedAt = None,
    resend_uncertain: options.ResendUncertain = False,
    even_unreadable: options.EvenUnreadable = False,
    without_dedupe: options.WithoutDedupe = False,
    yes: options.Yes = False,
    as_json: options.AsJson = False,
) -> None:
    """Send dead messages back to the queue that they belong to, and take them out here.

    Without --yes it prints the plan: will-run, will-skip (its work is done), in-progress, and
    why a message stays. A message leaves only after it stands in its queue; each step is in a
    journal under BILLFLEET_HOME/replay, so after an interruption the same command goes on and
    sends nothing twice. FIFO queues keep their order: what stays holds its group. It ends with 0
    when everything that was meant came home or was done already.
    """
    asked = homecoming.Replay(
        queues=queue or [],
        to=to,
        filter=options.build_filter(
            event_type, tenant, fingerprint, older_than, younger_than, where or [], containing
        ),
        rules=options.build_rules(
            force_key,
            if_completed_at,
            resend_uncertain=resend_uncertain,
            sends_unreadable=even_unreadable,
        ),
        message_id=message_id,
        limit=limit,
        rate=rate,
        concurrency=concurrency,
        canary=canary,
        canary_wait_s=options.seconds(canary_wait, "--canary-wait"),
        without_dedupe=without_dedupe,
        acts=yes,
    )
    _end(asyncio.run(homecoming.replay(Output(), asked, as_json=as_json)))


@group.command("edit", epilog=EDIT_EPILOG)
def edit(
    message_id: Annotated[str, typer.Argument(metavar="MESSAGE_ID", help="Any of its ids.")],
    queue: options.Queues = None,
    to: options.To = None,
    body: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The new body, instead of an editor.")
    ] = None,
    yes: options.Yes = False,
    as_json: options.AsJson = False,
) -> None:
    """Edit a message's body and send it to its queue.

    The body is opened in $VISUAL or $EDITOR and checked against its contract. The original is
    kept in the journal. Without --yes, the edited body is saved in a file, to be given to --body.
    The message stays hidden for others while you edit.
    """
    _end(
        asyncio.run(
            mending.edit(
                Output(), message_id, queue or [], to=to, body=body, acts=yes, as_json=as_json
            )
        )
    )


@group.command("export", epilog=EXPORT_EPILOG)
def export(
    queue: options.Queues = None,
    event_type: options.Type = None,
    tenant: options.Tenant = None,
    fingerprint: options.Fingerprint = None,
    older_than: options.OlderThan = None,
    younger_than: options.YoungerThan = None,
    where: options.Where = None,
    containing: options.Containing = None,
    output_file: Annotated[
        Path | None, typer.Option("--output", "-o", help="A new file; standard output without.")
    ] = None,
) -> None:
    """Write messages as lines of JSON. Nothing leaves the queue.

    Bodies hold whatever producers put in: keep the file as you keep the data.
    """
    meant = options.build_filter(
        event_type, tenant, fingerprint, older_than, younger_than, where or [], containing
    )
    asyncio.run(emptying.export(Output(), queue or [], meant, output_file))


@group.command("import", epilog=IMPORT_EPILOG)
def import_file(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Lines that export wrote.")],
    to: options.To = None,
    rate: options.Rate = None,
    yes: options.Yes = False,
    as_json: options.AsJson = False,
) -> None:
    """Send exported messages to the queues that they belong to, mended or not.

    It plans, checks and journals like replay: what was sent before is not sent again, and what
    it sends leaves the dead-letter queue at the next replay without being sent a second time.
    """
    _end(asyncio.run(homecoming.import_file(Output(), file, to, rate, acts=yes, as_json=as_json)))


@group.command("purge", epilog=PURGE_EPILOG)
def purge(
    queue: options.Queues = None,
    event_type: options.Type = None,
    tenant: options.Tenant = None,
    fingerprint: options.Fingerprint = None,
    older_than: options.OlderThan = None,
    younger_than: options.YoungerThan = None,
    where: options.Where = None,
    containing: options.Containing = None,
    done: Annotated[bool, typer.Option("--done", help="Only what is recorded as done.")] = False,
    everything: Annotated[bool, typer.Option(help="Really all; no filter is given.")] = False,
    yes: options.Yes = False,
    as_json: options.AsJson = False,
) -> None:
    """Delete messages from a dead-letter queue, after copying them into a file.

    The copy lies under BILLFLEET_HOME/replay and comes back with import. Without --yes it only
    counts.
    """
    meant = options.build_filter(
        event_type, tenant, fingerprint, older_than, younger_than, where or [], containing
    )
    if meant.is_open and not done and not everything:
        raise UsageWrong(
            "Nothing says which messages are meant",
            where="billfleet replay-dlq purge",
            remedy="Give a filter, --done, or --everything.",
        )
    now = datetime.now(UTC)
    asyncio.run(
        emptying.purge(
            Output(), queue or [], meant, done_only=done, acts=yes, now=now, as_json=as_json
        )
    )


def _end(is_well: bool) -> None:
    if not is_well:
        raise typer.Exit(Exit.FAILED)
