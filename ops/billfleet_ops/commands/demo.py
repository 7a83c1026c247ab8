"""`billfleet demo`: three tenants, three missed months, two sweeps at once, one balanced ledger.

It gives the story of `demo_story` an embedded stack in a home of its own, so that the data of
`billfleet up` is never touched, and shows its progress and its end.
"""

import asyncio
import os
from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
)

from billfleet_ops.configuration import home_directory
from billfleet_ops.demo_accounts import PERIODS, TENANTS
from billfleet_ops.demo_story import Summary, play
from billfleet_ops.errors import OpsError
from billfleet_ops.local.stack import EmbeddedStack
from billfleet_ops.local.substitution import adopt
from billfleet_ops.output import Output
from billfleet_ops.teaching import lesson
from billfleet_workers.settings import Settings

SHORT = "Watch 300 accounts being billed for three missed months."
EPILOG = lesson(
    ("billfleet demo", "about half a minute; its data is thrown away at the next demo"),
    ("billfleet demo --json", "only the summary, for a program"),
)
OURS = ("AWS_", "BILLFLEET_", "DATABASE_", "MIGRATION_DATABASE_")
KEPT = ("BILLFLEET_HOME", "BILLFLEET_DEBUG")
POLL_WAIT_S = 1.0


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("demo", short_help=SHORT, epilog=EPILOG)(demo)


def demo(
    as_json: Annotated[bool, typer.Option("--json", help="Only the summary, as JSON.")] = False,
) -> None:
    """Watch 300 accounts of three tenants being billed for three missed months.

    It starts a PostgreSQL and an AWS endpoint of its own, imports the accounts, runs the fleet,
    sweeps twice at the same time, and ends with a summary in which the ledger balances. Real
    endpoints in the environment are left alone. It ends with 1 when anything in the summary is
    not as it should be.
    """
    output = Output()
    home = home_directory() / "demo"
    _leave_real_endpoints_alone()
    stack = EmbeddedStack(home, environ={}, durable=False, say=output.note)
    with stack.running(fresh=True):
        adopt(stack.environment(), os.environ)
        settings = Settings(poll_wait_s=POLL_WAIT_S, log_format="json", home=home)
        with _progress(output) as progress:
            bars = _Bars(progress)
            summary = asyncio.run(play(settings, output.note, bars.show))
    if as_json:
        output.json(_as_json(summary))
    else:
        _show(output, summary, home_is=str(home))
    if not summary.is_right:
        raise OpsError(
            "The demo did not end as it should",
            where=str(home / "fleet.log"),
            remedy="Read the summary above and the log; this is a defect of ours.",
        )


def _leave_real_endpoints_alone() -> None:
    """A demo bills nobody, whatever this shell points to."""
    for name in [name for name in os.environ if name.startswith(OURS) and name not in KEPT]:
        del os.environ[name]


class _Bars:
    """The three bars of the demo."""

    def __init__(self, progress: Progress) -> None:
        total = sum(tenant.accounts for tenant in TENANTS) * PERIODS
        self._progress = progress
        self._billed: TaskID = progress.add_task("periods billed", total=total, said="")
        self._paid: TaskID = progress.add_task("payments collected", total=total, said="")
        self._sent: TaskID = progress.add_task("events sent", total=None, said="")
        self._unsent_most = 0

    def show(self, billed: int, paid: int, unsent: int) -> None:
        """Move the bars."""
        for bar, done in ((self._billed, billed), (self._paid, paid)):
            self._progress.update(bar, completed=done, said=f"{done:,}")
        # How many there will be is not known before they are there: the most that waited at once.
        self._unsent_most = most = max(self._unsent_most, unsent)
        said = f"{unsent:,} wait"
        self._progress.update(self._sent, total=most or None, completed=most - unsent, said=said)


def _progress(output: Output) -> Progress:
    return Progress(
        TextColumn("{task.description:>18}"),
        BarColumn(bar_width=32),
        TextColumn("{task.fields[said]:>10}"),
        TimeElapsedColumn(),
        console=output.problems,
    )


def _show(output: Output, summary: Summary, *, home_is: str) -> None:
    output.table(
        [
            "tenant",
            "accounts",
            "periods billed",
            "charged",
            "expected",
            "paid",
            "currency",
            "compared",
        ],
        [
            (
                tenant.tenant_id,
                tenant.accounts,
                tenant.periods,
                _major(tenant.charged_minor, tenant.tenant_id),
                _major(summary.expected_minor[tenant.tenant_id], tenant.tenant_id),
                _major(tenant.paid_minor, tenant.tenant_id),
                tenant.currency,
                "equal"
                if tenant.charged_minor
                == tenant.paid_minor
                == summary.expected_minor[tenant.tenant_id]
                else "DIFFERENT",
            )
            for tenant in summary.tenants
        ],
        title="Charged, against what the accounts' own list says",
    )
    output.say(
        f"{summary.sweep_messages} messages of two sweeps, {summary.periods:,} periods, "
        f"each billed once, in {summary.seconds:.1f} s."
    )
    output.table(
        ["the rest of the fleet", "messages", "expected", "done", "compared"],
        [
            (
                one.what,
                one.messages,
                one.expected,
                one.done,
                "equal" if one.is_right else "DIFFERENT",
            )
            for one in summary.achieved
        ],
        title="Asked for twice, done once",
    )
    verdict = "the ledger balances and its seals hold" if not summary.findings else "FINDINGS:"
    output.say(f"Audit: {verdict}.", style="bold green" if not summary.findings else "bold red")
    for finding in summary.findings:
        output.say(f"  {finding.check} {finding.subject}: {finding.message}")
    output.say(f"Drain: {'every message is accounted for' if summary.drain_adds_up else 'BROKEN'}.")
    output.say(f"The fleet's log is {home_is}/fleet.log. Next: `make up`, and your own accounts.")


def _major(amount_minor: int, tenant_id: str) -> str:
    exponent = next(t.exponent for t in TENANTS if t.tenant == tenant_id)
    whole, part = divmod(amount_minor, 10**exponent)
    return f"{whole:,}.{part:0{exponent}d}" if exponent else f"{whole:,}"


def _as_json(summary: Summary) -> Mapping[str, Any]:
    return {**asdict(summary), "is_right": summary.is_right}
