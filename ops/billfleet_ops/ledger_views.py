"""How the ledger looks: entries, trial balance, findings and seals, as tables and as JSON.

Called by the ledger commands with rows of the database room. It adds the running balance and, to
each finding, what to do about it; it reads nothing.
"""

from collections import defaultdict
from dataclasses import asdict

from billfleet_db.ledger import Entry, TrialBalanceRow
from billfleet_db.seals import Seal
from billfleet_db.verify import Finding
from billfleet_ops.output import Output
from billfleet_ops.runbooks import Runbook
from billfleet_ops.why_words import moment, money


def with_balance(entries: list[Entry]) -> list[tuple[Entry, int]]:
    """Each entry with what the account owes after it, in the entry's currency."""
    owed_minor: dict[str, int] = defaultdict(int)
    balanced = []
    for entry in entries:
        owed_minor[entry.currency] += entry.owed_change_minor
        balanced.append((entry, owed_minor[entry.currency]))
    return balanced


def show_entries(output: Output, entries: list[Entry], *, as_json: bool) -> None:
    """An account's entries, each with what was owed after it."""
    balanced = with_balance(entries)
    if as_json:
        output.json([{**asdict(entry), "owed_minor": owed} for entry, owed in balanced])
        return
    output.table(
        ("transfer", "posted", "kind", "period", "debit", "credit", "amount", "owes then", "by"),
        [
            (
                entry.transfer_id,
                moment(entry.posted_at),
                entry.kind,
                str(entry.period_start),
                entry.debit,
                entry.credit,
                money(entry.amount_minor, entry.currency),
                money(owed, entry.currency),
                entry.work_id,
            )
            for entry, owed in balanced
        ],
    )


def show_trial_balance(output: Output, rows: list[TrialBalanceRow], *, as_json: bool) -> None:
    """Debits and credits per side, and their sums per currency."""
    sums: dict[str, tuple[int, int]] = {}
    for row in rows:
        debit, credit = sums.get(row.currency, (0, 0))
        sums[row.currency] = (debit + row.debit_minor, credit + row.credit_minor)
    if as_json:
        output.json(
            {
                "sides": [asdict(row) for row in rows],
                "sums": [
                    {"currency": currency, "debit_minor": debit, "credit_minor": credit,
                     "balances": debit == credit}
                    for currency, (debit, credit) in sums.items()
                ],
            }
        )  # fmt: skip
        return
    if not rows:
        output.say("Nothing has been posted yet.")
        return
    lines = [(row.kind, row.currency, row.debit_minor, row.credit_minor) for row in rows]
    lines += [("all", currency, debit, credit) for currency, (debit, credit) in sums.items()]
    output.table(
        ("side", "currency", "debits", "credits", "debits - credits"),
        [
            (kind, currency, money(debit, currency), money(credit, currency),
             money(debit - credit, currency))
            for kind, currency, debit, credit in lines
        ],
    )  # fmt: skip


def show_findings(
    output: Output, findings: list[Finding], tenant: str | None, *, as_json: bool
) -> None:
    """What verifying found, each with what to do."""
    if as_json:
        listed = [{**asdict(each), "remedy": remedy_of(each.check)} for each in findings]
        output.json({"tenant": tenant, "findings": listed})
        return
    if not findings:
        output.say(f"The books of {tenant or 'all tenants'} are right: nothing was found.")
        return
    output.table(
        ("severity", "check", "where", "what", "to do"),
        [
            (
                each.severity,
                each.check,
                " ".join(filter(None, (each.tenant_id, each.subject))),
                each.message,
                remedy_of(each.check),
            )
            for each in findings
        ],
        title=f"{len(findings)} findings",
    )
    output.note(f"What each means, and in which order to act: {Runbook.LEDGER_FINDING}")


def show_seals(output: Output, made: list[Seal], *, as_json: bool) -> None:
    """The seals just made, with the hashes to keep."""
    if as_json:
        hashes = [{"previous_hash": s.previous_hash.hex(), "hash": s.hash.hex()} for s in made]
        output.json([asdict(seal) | words for seal, words in zip(made, hashes, strict=True)])
        return
    for seal in made:
        output.say(f"{seal.tenant_id}: seal {seal.seal_no} over {seal.rows} rows {seal.hash.hex()}")
    if not made:
        output.say("Everything that is finished has been sealed already.")


def remedy_of(check: str) -> str:
    """What to do about a finding of this check."""
    return _REMEDIES.get(check, "Compare with a backup, and find out who could write there.")


_REMEDIES = {
    "balance": "Stop the workers. The ledger was changed around its triggers; restore and compare.",
    "sides": "Stop the workers. The row was written around the constraints; reverse and post anew.",
    "reversal": "Reverse the wrong reversal, and post the right one.",
    "bill_charge": "Find the bill's charge in `billfleet ledger show`; reverse or bill it by hand.",
    "charge_bill": "The charge stands without a bill: reverse it, or it is never collected.",
    "paid": "See `billfleet accounts why`; ask the gateway what it really took.",
    "money_bill": "Find out who posted it and for which bill; reverse it and post it anew.",
    "forgotten": "`billfleet payments retry ACCOUNT --tenant TENANT` lets it be tried again.",
    "payment_attempt": "Ask the gateway whether it took this; reverse it if it did not.",
    "attempt": "Attempt and ledger disagree: look the attempt up at the gateway by its key.",
    "void": "Reverse the charge of the voided bill.",
    "refunded": "More was given back than taken: ask the gateway, then post what is missing.",
    "billed_twice": "Reverse one of the charges and refund it if it was paid.",
    "period_gap": "See `billfleet accounts why`: was it inactive, or its date moved by hand?",
    "next_date": "Compare the account's date with its last bill; correct it before the next sweep.",
    "anchor": "Correct its anchor day or its date before the next sweep, if it was not meant so.",
    "triggers": "Run `billfleet migrate` as the owner; find out who disabled it, and when.",
    "roles": "Take the privilege away; workers log in as billfleet_app and own nothing.",
    "seals": "Rows were changed after they were sealed: compare with a backup from before.",
}
