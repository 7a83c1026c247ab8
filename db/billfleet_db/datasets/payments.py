"""The data set `payments`: every attempt to collect, and what the gateway answered."""

from typing import Final

from billfleet_db.datasets.definition import Column, Dataset, Filter, since_and_until

DATASET: Final = Dataset(
    name="payments",
    title="Payments",
    source="billing.attempts p",
    tenant="p.tenant_id",
    columns=(
        Column("account_id", "word", "p.account_id"),
        Column("period_start", "date", "p.period_start"),
        Column("attempt_no", "integer", "p.attempt_no"),
        Column("attempt_key", "text", "p.attempt_key"),
        Column("gateway", "text", "p.gateway"),
        Column("amount_minor", "integer", "p.amount_minor"),
        Column("currency", "word", "p.currency"),
        Column("state", "word", "p.state"),
        Column("gateway_reference", "text", "p.gateway_reference"),
        Column("decline_kind", "word", "p.decline_kind"),
        Column("decline_code", "text", "p.decline_code"),
        Column("created_at", "instant", "p.created_at"),
        Column("concluded_at", "instant", "p.concluded_at"),
    ),
    filters=(
        Filter("account_id", "text", "p.account_id = {}"),
        Filter(
            "state",
            "text",
            "p.state = {}",
            choices=("prepared", "succeeded", "declined", "unknown", "not_sent"),
        ),
        Filter("gateway", "text", "p.gateway = {}"),
        Filter("currency", "text", "p.currency = {}"),
        *since_and_until("created", "p.created_at"),
    ),
    order="p.account_id, p.period_start, p.attempt_no",
)
