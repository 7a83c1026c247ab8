"""What `billfleet sweep` shows, and how it ends."""

import io
import json
from datetime import date

import pytest
import typer

from billfleet_ops.commands.sweep import (
    beyond_horizon,
    checked,
    collect_rows,
    rebill_rows,
    show,
)
from billfleet_ops.errors import OpsError, UsageWrong
from billfleet_ops.exits import Exit
from billfleet_ops.output import Output
from billfleet_workers.main import CollectReport, SweepReport


def rebill_report(*, failed: int = 0, is_dry_run: bool = False) -> SweepReport:
    report = SweepReport(is_dry_run=is_dry_run, as_of=date(2026, 3, 1), accounts=7, periods=9)
    report.accounts_by_tenant.update({"acme": 3, "zeta": 4})
    report.sent.messages = 2
    report.sent.failed = failed
    if failed:
        report.sent.reasons.append("AWS is tired [Throttling]")
    return report


def shown(report: SweepReport, *, as_json: bool = False) -> str:
    stdout = io.StringIO()
    show(report, rebill_rows(report), as_json=as_json, output=Output(stdout, io.StringIO()))
    return stdout.getvalue()


def test_a_rebill_sweep_shows_what_it_found_and_the_tenants_by_size() -> None:
    text = shown(rebill_report())
    assert "messages sent" in text
    assert text.index("of zeta") < text.index("of acme")


def test_a_dry_run_says_that_nothing_was_sent() -> None:
    assert "messages that would be sent" in shown(rebill_report(is_dry_run=True))


def test_a_program_gets_every_figure() -> None:
    document = json.loads(shown(rebill_report(), as_json=True))
    assert document["as_of"] == "2026-03-01"
    assert document["accounts_by_tenant"] == {"acme": 3, "zeta": 4}
    assert document["sent"]["messages"] == 2
    assert document["is_complete"] is True


def test_messages_that_were_not_sent_end_the_command_with_1_and_their_reasons() -> None:
    with pytest.raises(OpsError, match="1 messages could not be sent: AWS is tired") as failed:
        shown(rebill_report(failed=1))
    assert failed.value.code is Exit.FAILED
    assert "still due" in failed.value.remedy


def test_a_program_gets_the_document_and_then_the_exit_code() -> None:
    report, stdout = rebill_report(failed=1), io.StringIO()
    with pytest.raises(typer.Exit) as ended:
        show(report, rebill_rows(report), as_json=True, output=Output(stdout, io.StringIO()))
    assert ended.value.exit_code == Exit.FAILED
    assert json.loads(stdout.getvalue())["is_complete"] is False


def test_a_collect_sweep_shows_bills_and_checks() -> None:
    assert collect_rows(CollectReport(is_dry_run=False, bills=4, checks=5)) == [
        ("bills to collect", 4),
        ("attempts to ask about", 5),
    ]


@pytest.mark.parametrize("tenant", ["Acme", "-acme", "a b", ""])
def test_what_can_be_no_tenant_is_a_usage_error(tenant: str) -> None:
    with pytest.raises(UsageWrong, match="not a tenant id"):
        checked(tenant)
    assert checked("acme") == "acme"
    assert checked(None) is None


def test_a_date_beyond_the_horizon_ends_with_refused() -> None:
    """R13."""
    assert beyond_horizon(ValueError("2099-01-01 is too far")).code is Exit.REFUSED
