"""The data set `analytics_events`: what front ends counted, event by event."""

from typing import Final

from billfleet_db.datasets.definition import Column, Dataset, Filter, since_and_until

DATASET: Final = Dataset(
    name="analytics_events",
    title="Analytics events",
    source="analytics.events e",
    tenant="e.tenant_id",
    columns=(
        Column("source", "text", "e.source"),
        Column("event_id", "text", "e.event_id"),
        Column("name", "text", "e.name"),
        Column("occurred_at", "instant", "e.occurred_at"),
        Column("stored_at", "instant", "e.stored_at"),
        Column("local_day", "date", "e.local_day"),
        Column("brand_id", "text", "e.brand_id"),
        Column("store_id", "text", "e.store_id"),
        Column("customer_id", "text", "e.customer_id"),
        Column("amount_minor", "integer", "e.amount_minor"),
        Column("currency", "text", "e.currency"),
        Column("properties", "json", "e.properties"),
    ),
    filters=(
        Filter("source", "text", "e.source = {}"),
        Filter("name", "text", "e.name = {}"),
        Filter("customer_id", "text", "e.customer_id = {}"),
        Filter("brand_id", "text", "e.brand_id = {}"),
        Filter("store_id", "text", "e.store_id = {}"),
        Filter("day_from", "date", "e.local_day >= {}"),
        Filter("day_to", "date", "e.local_day <= {}"),
        *since_and_until("stored", "e.stored_at"),
    ),
    order="e.event_no",
)
