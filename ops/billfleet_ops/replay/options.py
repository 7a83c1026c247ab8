"""The options that the replay commands share, and what is made of them.

`commands/replay_dlq` annotates its arguments with these. Wrong values are usage errors.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

import typer

from billfleet_ops.errors import UsageWrong
from billfleet_ops.replay.filters import Filter, parse_conditions, parse_duration
from billfleet_ops.replay.plan import Forcing, Rules

Queues = Annotated[
    list[str] | None,
    typer.Option(
        "--queue",
        metavar="QUEUE",
        help="A dead-letter queue: the fleet's name for it, a name, URL or ARN. Default: all"
        " of the fleet's. May be repeated.",
    ),
]
To = Annotated[
    str | None,
    typer.Option(
        "--to", metavar="QUEUE", help="Where they go. Default: the queue that each came from."
    ),
]
Type = Annotated[
    str | None, typer.Option("--type", help="Event type, with or without family and version.")
]
Tenant = Annotated[str | None, typer.Option("--tenant", help="Only this tenant's.")]
Fingerprint = Annotated[
    str | None, typer.Option("--fingerprint", help="Only this cause; its first characters do.")
]
OlderThan = Annotated[
    str | None, typer.Option("--older-than", metavar="TIME", help="First seen before: 90s, 2h, 3d.")
]
YoungerThan = Annotated[
    str | None, typer.Option("--younger-than", metavar="TIME", help="First seen after.")
]
Where = Annotated[
    list[str] | None,
    typer.Option(
        "--where",
        metavar="FIELD=VALUE",
        help="A field of the event's data, or != ; dots go deeper, lists are searched.",
    ),
]
Containing = Annotated[
    str | None,
    typer.Option("--containing", metavar="TEXT", help="Its body contains this, readable or not."),
]
Rate = Annotated[
    float | None, typer.Option("--rate", min=0.01, help="At most so many messages a second.")
]
Concurrency = Annotated[
    int, typer.Option("--concurrency", min=1, max=32, help="Batches of ten at the same time.")
]
OneId = Annotated[str | None, typer.Option("--id", help="Only the message with this id.")]
Limit = Annotated[int | None, typer.Option("--limit", min=1, help="Send at most so many.")]
Canary = Annotated[
    int | None,
    typer.Option("--canary", min=1, help="Send so many, watch them, go on only if all end well."),
]
CanaryWait = Annotated[
    str, typer.Option("--canary-wait", metavar="TIME", help="How long to watch them: 90s, 5m.")
]
ForceKey = Annotated[
    str | None,
    typer.Option(
        "--force-key", metavar="KEY", help="Run this work again though it is recorded as done."
    ),
]
IfCompletedAt = Annotated[
    str | None,
    typer.Option(
        "--if-completed-at", metavar="TIME", help="Only if it was recorded at this moment."
    ),
]
ResendUncertain = Annotated[
    bool,
    typer.Option(
        "--resend-uncertain",
        help="Also what an earlier run was sending when it died; may arrive twice.",
    ),
]
EvenUnreadable = Annotated[
    bool,
    typer.Option("--even-unreadable", help="Also what this version can't read; newer workers may."),
]
WithoutDedupe = Annotated[
    bool,
    typer.Option("--without-dedupe", help="Do not ask the dedupe store what is done already."),
]
Yes = Annotated[bool, typer.Option("--yes", help="Really do it.")]
AsJson = Annotated[bool, typer.Option("--json", help="For a program.")]


def build_filter(
    event_type: str | None,
    tenant: str | None,
    fingerprint: str | None,
    older_than: str | None,
    younger_than: str | None,
    where: Sequence[str],
    containing: str | None = None,
) -> Filter:
    """The filter that the options describe."""
    return Filter(
        type=event_type,
        tenant=tenant,
        fingerprint=fingerprint,
        older_than=parse_duration(older_than, "--older-than") if older_than else None,
        younger_than=parse_duration(younger_than, "--younger-than") if younger_than else None,
        conditions=parse_conditions(where),
        containing=containing,
    )


def build_rules(
    force_key: str | None,
    if_completed_at: str | None,
    *,
    resend_uncertain: bool,
    sends_unreadable: bool,
) -> Rules:
    """What the operator allows. Forcing needs both of its halves."""
    forcing: Forcing | None = None
    if (force_key is None) != (if_completed_at is None):
        raise UsageWrong(
            "Work that is recorded as done runs again only on a condition",
            where="--force-key, --if-completed-at",
            remedy="Give both; `replay-dlq show` prints the key and the moment.",
        )
    if force_key is not None and if_completed_at is not None:
        forcing = Forcing(force_key, _moment(if_completed_at))
    return Rules(forcing, resend_uncertain, sends_unreadable)


def seconds(text: str, option: str) -> float:
    """A duration option in seconds."""
    return parse_duration(text, option).total_seconds()


def _moment(text: str) -> datetime:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        moment = datetime.min  # noqa: DTZ901 - naive, and so refused below
    if moment.tzinfo is None:
        raise UsageWrong(
            f"Not a moment with its offset: {text}",
            where="--if-completed-at",
            remedy="Copy it from `replay-dlq show`, such as 2026-03-01T12:00:00.123+00:00.",
        )
    return moment
