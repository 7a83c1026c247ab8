"""The data set `cards`: loyalty cards with what is on them."""

from typing import Final

from billfleet_db.datasets.definition import Column, Dataset, Filter, since_and_until

DATASET: Final = Dataset(
    name="cards",
    title="Loyalty cards",
    source=(
        "loyalty.cards k LEFT JOIN (SELECT tenant_id, card_id, sum(remaining)::bigint AS points"
        " FROM loyalty.lots WHERE remaining > 0 GROUP BY tenant_id, card_id) o"
        " USING (tenant_id, card_id)"
    ),
    tenant="k.tenant_id",
    columns=(
        Column("card_id", "word", "k.card_id"),
        Column("customer_id", "text", "k.customer_id"),
        Column("programme_id", "text", "k.programme_id"),
        Column("points_remaining", "integer", "coalesce(o.points, 0)"),
        Column("debt_points", "integer", "k.debt_points"),
        Column("stamps", "integer", "k.stamps"),
        Column("created_at", "instant", "k.created_at"),
    ),
    filters=(
        Filter("card_id", "text", "k.card_id = {}"),
        Filter("customer_id", "text", "k.customer_id = {}"),
        Filter("programme_id", "text", "k.programme_id = {}"),
        *since_and_until("created", "k.created_at"),
    ),
    order="k.card_id",
)
