"""The data set `accounts`: who is billed, how much, how often, and how they stand."""

from typing import Final

from billfleet_db.datasets.definition import Column, Dataset, Filter, since_and_until

DATASET: Final = Dataset(
    name="accounts",
    title="Accounts",
    source="billing.accounts a JOIN customer.customers c USING (tenant_id, customer_id)",
    tenant="a.tenant_id",
    columns=(
        Column("account_id", "word", "a.account_id"),
        Column("customer_id", "text", "a.customer_id"),
        Column("customer_name", "text", "c.name"),
        Column("customer_email", "text", "c.email"),
        Column("state", "word", "a.state"),
        Column("plan_id", "text", "a.plan_id"),
        Column("amount_minor", "integer", "a.amount_minor"),
        Column("currency", "word", "a.currency"),
        Column("interval_months", "integer", "a.interval_months"),
        Column("anchor_day", "integer", "a.anchor_day"),
        Column("time_zone", "text", "a.time_zone"),
        Column("rebilling_date", "date", "a.rebilling_date"),
        Column("past_due_since", "instant", "a.past_due_since"),
        Column("parked_at", "instant", "a.parked_at"),
        Column("parked_reason", "text", "a.parked_reason"),
        Column("created_at", "instant", "a.created_at"),
    ),
    filters=(
        Filter("account_id", "text", "a.account_id = {}"),
        Filter("customer_id", "text", "a.customer_id = {}"),
        Filter(
            "state", "text", "a.state = {}", choices=("PENDING", "ACTIVE", "PAST_DUE", "INACTIVE")
        ),
        Filter("plan_id", "text", "a.plan_id = {}"),
        Filter("currency", "text", "a.currency = {}"),
        *since_and_until("created", "a.created_at"),
    ),
    order="a.account_id",
)
