"""The data set `loyalty_transactions`: purchases, rewards, grants and cancellations of cards."""

from typing import Final

from billfleet_db.datasets.definition import Column, Dataset, Filter, since_and_until

DATASET: Final = Dataset(
    name="loyalty_transactions",
    title="Loyalty transactions",
    source="loyalty.transactions l",
    tenant="l.tenant_id",
    columns=(
        Column("transaction_id", "text", "l.transaction_id"),
        Column("card_id", "word", "l.card_id"),
        Column("programme_id", "text", "l.programme_id"),
        Column("kind", "text", "l.kind"),
        Column("state", "text", "l.state"),
        Column("reason", "text", "l.reason"),
        Column("cancels", "text", "l.cancels"),
        Column("store_id", "text", "l.store_id"),
        Column("reward_id", "text", "l.reward_id"),
        Column("amount_minor", "integer", "l.amount_minor"),
        Column("currency", "text", "l.currency"),
        Column("quantity", "integer", "l.quantity"),
        Column("rules_version", "integer", "l.rules_version"),
        Column("occurred_at", "instant", "l.occurred_at"),
        Column("recorded_at", "instant", "l.recorded_at"),
    ),
    filters=(
        Filter("card_id", "text", "l.card_id = {}"),
        Filter("programme_id", "text", "l.programme_id = {}"),
        Filter("store_id", "text", "l.store_id = {}"),
        Filter("kind", "text", "l.kind = {}"),
        Filter("state", "text", "l.state = {}"),
        *since_and_until("occurred", "l.occurred_at"),
    ),
    order="l.transaction_id",
)
