"""The data set `mails`: who was written to, about what, and what became of it; no text."""

from typing import Final

from billfleet_db.datasets.definition import Column, Dataset, Filter, since_and_until

DATASET: Final = Dataset(
    name="mails",
    title="Mails",
    source="mail.mails m",
    tenant="m.tenant_id",
    columns=(
        Column("mail_id", "text", "m.mail_id::text"),
        Column("template", "text", "m.template"),
        Column("category", "text", "m.category"),
        Column("recipient_kind", "text", "m.recipient_kind"),
        Column("recipient_id", "text", "m.recipient_id"),
        Column("address", "text", "m.address"),
        Column("locale", "text", "m.locale"),
        Column("subject", "text", "m.subject"),
        Column("state", "text", "m.state"),
        Column("reason", "text", "m.reason"),
        Column("attempts", "integer", "m.attempts"),
        Column("prepared_at", "instant", "m.prepared_at"),
        Column("sent_at", "instant", "m.sent_at"),
        Column("delivered_at", "instant", "m.delivered_at"),
        Column("bounced_at", "instant", "m.bounced_at"),
        Column("complained_at", "instant", "m.complained_at"),
    ),
    filters=(
        Filter("template", "text", "m.template = {}"),
        Filter("category", "text", "m.category = {}"),
        Filter("recipient_id", "text", "m.recipient_id = {}"),
        Filter("state", "text", "m.state = {}"),
        *since_and_until("prepared", "m.prepared_at"),
    ),
    order="m.prepared_at, m.mail_id",
)
