"""How replay speaks: peeks, plans, reports and single messages, for people and for programs.

The commands call it with what they found. It decides nothing.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from billfleet_ops.output import Output, duration
from billfleet_ops.replay.canary import Outcomes
from billfleet_ops.replay.editing import for_reading
from billfleet_ops.replay.peek import Peek
from billfleet_ops.replay.plan import MEANINGS, Planned, Verdict
from billfleet_ops.replay.reading import Reading
from billfleet_ops.replay.run import Report

ROWS_SHOWN = 30
REASON_CHARS = 90
HISTORY = ("attempt", "origin", "buried_at", "first_sent_at", "original_message_id", "replay_run")


def show_peeks(output: Output, peeks: Sequence[Peek], now: datetime) -> None:
    """All queues, then the groups of those that hold something."""
    output.table(
        ("dead-letter queue", "waiting", "in flight", "looked at", "oldest"),
        [
            (
                one.queue.name,
                one.queue.waiting,
                one.queue.in_flight,
                one.looked_at,
                duration((now - one.oldest_at).total_seconds() if one.oldest_at else None),
            )
            for one in peeks
        ],
    )
    for one in peeks:
        groups = sorted(one.groups.values(), key=lambda group: -group.count)
        if groups:
            output.table(
                ("fingerprint", "count", "oldest", "type", "reason", "example"),
                [
                    (
                        group.fingerprint,
                        group.count,
                        duration(
                            (now - group.oldest_at).total_seconds() if group.oldest_at else None
                        ),
                        _short(group.contracts.most_common(1)[0][0]),
                        _cut(f"{group.error_class}: {group.reason}"),
                        group.example_id,
                    )
                    for group in groups
                ],
                title=one.queue.name if one.is_whole else f"{one.queue.name} (a sample)",
            )


def peek_json(one: Peek) -> dict[str, Any]:
    """A peek for a program."""
    return {
        "queue": one.queue.name,
        "url": one.queue.url,
        "waiting": one.queue.waiting,
        "in_flight": one.queue.in_flight,
        "looked_at": one.looked_at,
        "is_whole": one.is_whole,
        "oldest_at": one.oldest_at,
        "groups": [
            {
                "fingerprint": group.fingerprint,
                "count": group.count,
                "reason": group.reason,
                "error_class": group.error_class,
                "oldest_at": group.oldest_at,
                "types": dict(group.contracts),
                "tenants": dict(group.tenants),
                "example_id": group.example_id,
            }
            for group in one.groups.values()
        ],
    }


def show_report(output: Output, queue: str, report: Report, outcomes: Outcomes | None) -> None:
    """A plan, or what was done."""
    if report.rows:
        output.table(
            ("message", "type", "tenant", "verdict", "to", "why"),
            [_row(plan) for plan in report.rows[:ROWS_SHOWN]],
            title=f"{queue}: {'plan, nothing is done' if report.is_dry else 'replayed'}",
        )
    total = report.verdicts.total()
    if total > ROWS_SHOWN:
        output.say(f"… and {total - ROWS_SHOWN} more.")
    rows = [(verdict.value, count, MEANINGS[verdict]) for verdict, count in report.verdicts.items()]
    if rows:
        output.table(("verdict", "messages", "means"), rows)
    output.say(
        f"{queue}: looked at {report.looked_at}, {report.not_meant} not meant, "
        f"sent {report.sent}, taken out {report.taken_out}, failed {report.failed}."
    )
    for failure in report.failures[:ROWS_SHOWN]:
        output.note(failure)
    if outcomes is not None:
        output.say(
            f"canary: {len(outcomes.done)} done, {len(outcomes.returned)} came back, "
            f"{len(outcomes.silent)} without an outcome."
        )
    if report.stopped:
        output.note(f"Stopped: {report.stopped}")
    if report.is_dry and any(plan.sends for plan in report.rows):
        output.say("Nothing was done. The same with --yes carries it out.")


def report_json(queue: str, report: Report, outcomes: Outcomes | None) -> dict[str, Any]:
    """A report for a program."""
    return {
        "queue": queue,
        "run": report.run,
        "is_dry_run": report.is_dry,
        "looked_at": report.looked_at,
        "not_meant": report.not_meant,
        "verdicts": {verdict.value: count for verdict, count in report.verdicts.items()},
        "sent": report.sent,
        "taken_out": report.taken_out,
        "failed": report.failed,
        "failures": report.failures,
        "stopped": report.stopped,
        "canary": None
        if outcomes is None
        else {
            "done": outcomes.done,
            "returned": outcomes.returned,
            "silent": outcomes.silent,
        },
        "messages": [planned_json(plan) for plan in report.rows],
    }


def planned_json(plan: Planned) -> dict[str, Any]:
    """One message of a plan for a program."""
    reading, record = plan.reading, plan.record
    return {
        "message_id": reading.id,
        "original_id": reading.original_id,
        "event_id": reading.event_id,
        "type": reading.contract,
        "tenant": reading.tenant,
        "fingerprint": reading.fingerprint,
        "reason": reading.reason,
        "error_class": reading.error_class,
        "first_seen_at": reading.first_seen_at,
        "group_id": reading.message.group_id,
        "verdict": plan.verdict.value,
        "why": plan.why,
        "to": plan.address.name if plan.address else None,
        "key": plan.key,
        "dedupe": None
        if record is None
        else {
            "state": record.state,
            "lease_until": record.lease_until,
            "completed_at": record.completed_at,
            "expires_at": record.expires_at,
            "note": record.note,
        },
    }


def show_message(output: Output, queue: str, plan: Planned) -> None:
    """One message, all of it."""
    reading, record = plan.reading, plan.record
    texts = {name: one.text for name, one in reading.message.attributes.items()}
    rows: list[tuple[str, str | None]] = [
        ("message", reading.id),
        ("lies in", queue),
        ("reason", reading.reason),
        ("error class", reading.error_class),
        ("fingerprint", reading.fingerprint),
        ("type", reading.contract or "unknown"),
        ("tenant", reading.tenant),
        ("event id", reading.event_id),
        ("first seen", reading.first_seen_at.isoformat()),
        ("in this queue since", reading.message.sent_at.isoformat()),
        ("received here", str(reading.message.receive_count)),
        ("group", reading.message.group_id),
        ("moved by SQS from", reading.message.source_arn),
        *((name.replace("_", " "), texts[name]) for name in HISTORY if name in texts),
        ("dedupe key", plan.key),
        ("dedupe says", _dedupe_says(plan)),
        ("if replayed", f"{plan.verdict.value}: {plan.why}"),
        ("goes to", plan.address.name if plan.address else None),
    ]
    if record is not None and record.completed_at is not None:
        rows.append(("to run it again", _forcing(plan.key, record.completed_at)))
    output.table(("what", "is"), rows)
    if reading.envelope is not None:
        output.say("decoded:", style="bold")
        output.say(for_reading(reading.envelope.data.model_dump_json()).rstrip())
    output.say("body:", style="bold")
    output.say(reading.message.body)


def message_json(queue: str, plan: Planned) -> dict[str, Any]:
    """One message for a program."""
    reading = plan.reading
    return planned_json(plan) | {
        "queue": queue,
        "receive_count": reading.message.receive_count,
        "sent_at": reading.message.sent_at,
        "source_arn": reading.message.source_arn,
        "attributes": {
            name: one.text if one.data is None else one.data.hex()
            for name, one in reading.message.attributes.items()
        },
        "event": None
        if reading.envelope is None
        else reading.envelope.data.model_dump(mode="json"),
        "body": reading.message.body,
    }


@contextmanager
def progress_bar(output: Output, total: int, *, is_wanted: bool) -> Iterator[Any]:
    """A bar on a terminal's stderr; call what it gives with the number that is done."""
    if not is_wanted or not output.problems.is_terminal:
        yield lambda _: None
        return
    columns = (
        TextColumn("replaying"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=output.problems, transient=True) as progress:
        task = progress.add_task("replaying", total=total)
        yield lambda done: progress.update(task, completed=done)


def _row(plan: Planned) -> tuple[str | None, ...]:
    reading: Reading = plan.reading
    return (
        reading.id,
        _short(reading.contract or "unknown"),
        reading.tenant,
        plan.verdict.value,
        plan.address.name if plan.address else None,
        None if plan.why == MEANINGS[plan.verdict] else _cut(plan.why),
    )


def _dedupe_says(plan: Planned) -> str:
    record = plan.record
    if plan.reading.envelope is None:
        return "nothing: without a readable body there is no key"
    if plan.key is None:
        return "nothing: it is no work of the fleet"
    if record is None:
        return "nothing: this work was never done, or its record has expired"
    if record.completed_at is not None:
        return f"done at {record.completed_at.isoformat()} {record.note}".rstrip()
    return f"claimed until {record.lease_until.isoformat() if record.lease_until else '?'}"


def _forcing(key: str | None, completed_at: datetime) -> str:
    return f"replay --force-key '{key}' --if-completed-at {completed_at.isoformat()}"


def _short(contract: str) -> str:
    return contract.rpartition("billfleet.")[2]


def _cut(text: str) -> str:
    return text if len(text) <= REASON_CHARS else text[: REASON_CHARS - 1] + "…"


def exits_well(report: Report) -> bool:
    """Whether everything that was meant came home or was done already."""
    stayed: Mapping[Verdict, int] = report.verdicts
    fine = {Verdict.WILL_RUN, Verdict.WILL_SEND, Verdict.ALREADY_SENT, Verdict.WILL_SKIP}
    is_clean = report.failed == 0 and report.stopped is None
    return report.is_dry or (is_clean and not any(stayed[one] for one in stayed if one not in fine))
