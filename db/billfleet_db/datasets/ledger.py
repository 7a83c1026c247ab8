"""The data set `ledger`: every transfer, as it was posted."""

from typing import Final

from billfleet_db.datasets.definition import Column, Dataset, Filter, since_and_until

DATASET: Final = Dataset(
    name="ledger",
    title="Ledger",
    source="billing.transfers t",
    tenant="t.tenant_id",
    columns=(
        Column("transfer_id", "integer", "t.transfer_id"),
        Column("posted_at", "instant", "t.posted_at"),
        Column("kind", "word", "t.kind"),
        Column("account_id", "word", "t.account_id"),
        Column("period_start", "date", "t.period_start"),
        Column("amount_minor", "integer", "t.amount_minor"),
        Column("currency", "word", "t.currency"),
        Column("debit_id", "integer", "t.debit_id"),
        Column("credit_id", "integer", "t.credit_id"),
        Column("reverses", "integer", "t.reverses"),
        Column("reason", "text", "t.reason"),
        Column("transfer_key", "text", "t.transfer_key"),
        Column("work_id", "text", "t.work_id"),
    ),
    filters=(
        Filter("account_id", "text", "t.account_id = {}"),
        Filter(
            "kind",
            "text",
            "t.kind = {}",
            choices=("charge", "payment", "refund", "reversal", "write_off"),
        ),
        Filter("currency", "text", "t.currency = {}"),
        Filter("period_from", "date", "t.period_start >= {}"),
        Filter("period_to", "date", "t.period_start <= {}"),
        *since_and_until("posted", "t.posted_at"),
    ),
    order="t.transfer_id",
)
