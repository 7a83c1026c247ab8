"""How imports, accounts and explanations look: as tables and sentences, and as JSON.

Called by the account commands with finished reports. It prints and builds plain values; it reads
nothing and decides nothing.
"""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from billfleet_db.bills import Bill
from billfleet_db.history import History
from billfleet_ops.csv_import import ImportReport
from billfleet_ops.output import Output
from billfleet_ops.why_words import is_refused_for_good, moment, money

if TYPE_CHECKING:
    from billfleet_ops.why import Explanation

BAD_ROWS_SHOWN_MAX = 20
BILLS_SHOWN_MAX = 24


def import_as_json(report: ImportReport, *, is_dry_run: bool) -> dict[str, Any]:
    """The import for a program: every figure and every bad row."""
    return {
        "tenant": report.tenant,
        "rows": report.rows,
        "is_dry_run": is_dry_run,
        "is_committed": report.is_committed,
        **asdict(report.taken_over),
        "bad_rows": len({bad.line for bad in report.bad_rows}),
        "problems": [asdict(bad) for bad in report.bad_rows],
        "ignored_columns": list(report.ignored_columns),
        "rejected_path": str(report.rejected_path) if report.rejected_path else None,
    }


def show_import(output: Output, report: ImportReport, *, is_dry_run: bool) -> None:
    """The import for a person: the first bad rows, then what happened."""
    bad_lines = len({bad.line for bad in report.bad_rows})
    if bad_lines:
        shown = report.bad_rows[:BAD_ROWS_SHOWN_MAX]
        output.table(
            ("line", "column", "what is wrong"),
            [(bad.line, bad.column, bad.reason) for bad in shown],
            title=f"{bad_lines} of {report.rows} rows are bad",
        )
        if len(report.bad_rows) > len(shown):
            output.say(f"… and {len(report.bad_rows) - len(shown)} more; --json lists all.")
    if report.ignored_columns:
        output.say(f"Columns that were not read: {', '.join(report.ignored_columns)}")
    if report.is_refused:
        output.say("Nothing was imported. Repair the rows, or add --skip-bad-rows.", "bold")
        return
    _show_taken_over(output, report, is_dry_run=is_dry_run)


def _show_taken_over(output: Output, report: ImportReport, *, is_dry_run: bool) -> None:
    done = report.taken_over
    verb = "would be imported" if is_dry_run else "imported"
    output.say(
        f"{report.rows} rows: {done.inserted} {verb}, {done.updated} updated, "
        f"{done.unchanged} unchanged, {len({bad.line for bad in report.bad_rows})} bad.",
        "bold",
    )
    if done.is_new_tenant:
        output.say(f"Tenant {report.tenant} is new.")
    if done.plans_created:
        output.say(f"{done.plans_created} plans are new.")
    if done.kept:
        output.say(f"{done.kept} keep the date or state that the fleet has given them since.")
    if done.first_due_on is not None:
        output.say(f"The new ones are due from {done.first_due_on} to {done.last_due_on}.")
    if report.rejected_path is not None:
        output.say(f"The bad rows, with reasons, are in {report.rejected_path}.")
    if is_dry_run:
        output.say("This was a dry run: nothing was kept.")


def history_as_json(history: History) -> dict[str, Any]:
    """The account for a program, with its bills."""
    return {
        "account": asdict(history.account),
        "customer": asdict(history.customer) if history.customer else None,
        "owed_minor": dict(history.owed_minor),
        "bills": [asdict(bill) for bill in history.bills],
    }


def show_history(output: Output, history: History) -> None:
    """The account for a person."""
    account, customer = history.account, history.customer
    since = account.parked_at
    parked = f"since {moment(since)}: {account.parked_reason}" if since else None
    owed = ", ".join(money(minor, currency) for currency, minor in history.owed_minor.items())
    facts: tuple[tuple[str, str | None], ...] = (
        ("account", f"{account.account_id} of tenant {account.tenant_id}"),
        ("customer", f"{customer.name} <{customer.email or 'no e-mail'}>" if customer else None),
        ("state", account.state),
        ("parked", parked),
        ("price", money(account.amount_minor, account.currency)),
        ("every", f"{account.interval_months} months, committed for {account.commitment_months}"),
        ("plan", account.plan_id),
        ("next period", f"{account.rebilling_date} ({account.time_zone})"),
        ("anchor day", str(account.anchor_day)),
        ("payment method", account.payment_method),
        ("owes", owed or "nothing"),
    )
    output.table(("fact", "value"), facts)
    if not history.bills:
        output.say("No period has been billed yet.")
        return
    output.table(
        ("period", "to", "amount", "state", "attempts", "next attempt"),
        [
            (
                str(bill.period_start),
                str(bill.period_end),
                money(bill.amount_minor, bill.currency),
                bill.state,
                bill.attempts_made,
                _next_attempt(bill),
            )
            for bill in history.bills[-BILLS_SHOWN_MAX:]
        ],
        title=f"The last of {len(history.bills)} bills",
    )


def _next_attempt(bill: Bill) -> str | None:
    if bill.next_attempt_at is None or is_refused_for_good(bill):
        return bill.collection_note
    return moment(bill.next_attempt_at)


def explanation_as_json(explanation: "Explanation") -> dict[str, Any]:
    """The explanation for a program: verdicts, ids and the same sentences."""
    return asdict(explanation)


def show_explanation(output: Output, explanation: "Explanation") -> None:
    """The explanation for a person, to be read out."""
    for sentence in explanation.standing:
        output.say(sentence)
    for story in explanation.periods:
        until = f" to {story.period_end}" if story.period_end else ""
        verdict = story.bill_state or story.verdict.replace("_", " ")
        output.say("")
        output.say(f"{story.period_start}{until}: {verdict}", "bold")
        for sentence in story.sentences:
            output.say(f"  {sentence}")
