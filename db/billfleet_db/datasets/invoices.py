"""The data set `invoices`: what each account owes for each period, and how collecting it went."""

from typing import Final

from billfleet_db.datasets.definition import Column, Dataset, Filter, since_and_until

DATASET: Final = Dataset(
    name="invoices",
    title="Invoices",
    source="billing.bills b",
    tenant="b.tenant_id",
    columns=(
        Column("account_id", "word", "b.account_id"),
        Column("period_start", "date", "b.period_start"),
        Column("period_end", "date", "b.period_end"),
        Column("amount_minor", "integer", "b.amount_minor"),
        Column("currency", "word", "b.currency"),
        Column("state", "word", "b.state"),
        Column("attempts_made", "integer", "b.attempts_made"),
        Column("next_attempt_at", "instant", "b.next_attempt_at"),
        Column("collection_note", "text", "b.collection_note"),
        Column("paid_at", "instant", "b.paid_at"),
        Column("charge_transfer_id", "integer", "b.charge_transfer_id"),
        Column("created_at", "instant", "b.created_at"),
    ),
    filters=(
        Filter("account_id", "text", "b.account_id = {}"),
        Filter("state", "text", "b.state = {}", choices=("open", "paid", "uncollectible", "void")),
        Filter("currency", "text", "b.currency = {}"),
        Filter("period_from", "date", "b.period_start >= {}"),
        Filter("period_to", "date", "b.period_start <= {}"),
        *since_and_until("paid", "b.paid_at"),
    ),
    order="b.account_id, b.period_start",
)
