"""The data set `statement`: one account over some days, as it is sent to a customer.

Amounts are signed as the customer sees them: what was charged is positive, what was paid negative.
"""

from typing import Final

from billfleet_db.datasets.definition import Column, Dataset, Filter

# The days of a statement are the account's own, as on its bills.
_LOCAL_DAY: Final = "(t.posted_at AT TIME ZONE a.time_zone)::date"

DATASET: Final = Dataset(
    name="statement",
    title="Statement of account",
    source=(
        "billing.transfers t JOIN billing.accounts a USING (tenant_id, account_id)"
        " JOIN billing.ledger_accounts r"
        " ON r.tenant_id = t.tenant_id AND r.kind = 'receivable' AND r.account_id = t.account_id"
        " AND r.ledger_account_id IN (t.debit_id, t.credit_id)"
    ),
    tenant="t.tenant_id",
    columns=(
        Column("posted_at", "instant", "t.posted_at"),
        Column("kind", "word", "t.kind"),
        Column("period_start", "date", "t.period_start"),
        Column("reason", "text", "t.reason"),
        Column("currency", "word", "t.currency"),
        Column(
            "signed_minor",
            "integer",
            "CASE WHEN r.ledger_account_id = t.debit_id THEN 1 ELSE -1 END * t.amount_minor",
        ),
        Column("transfer_id", "integer", "t.transfer_id"),
    ),
    filters=(
        Filter("account_id", "text", "t.account_id = {}", required=True),
        Filter("posted_from", "date", f"{_LOCAL_DAY} >= {{}}", required=True),
        Filter("posted_to", "date", f"{_LOCAL_DAY} <= {{}}", required=True),
    ),
    order="t.currency, t.posted_at, t.transfer_id",
    formats=("pdf",),
)
