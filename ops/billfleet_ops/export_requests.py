"""Asks for an export as a front end would: checked first, then recorded and sent in one step.

`billfleet export request` calls it. What is wrong with a request is said here, at once, and not
hours later by mail. It writes no file.
"""

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncConnection

from billfleet_contracts import ExportRequested, wrap
from billfleet_db import exports, outbox
from billfleet_db.datasets import SelectionWrong, find, select
from billfleet_db.exports import NewExport
from billfleet_ops.errors import UsageWrong
from billfleet_producers.outgoing import Outgoing

SOURCE = "/billfleet/command"


@dataclass(frozen=True)
class Wish:
    """What the options say."""

    tenant: str
    dataset: str
    form: str
    filters: Mapping[str, str] = field(default_factory=dict)
    columns: Sequence[str] = ()
    locale: str = "en-US"
    contact: str | None = None
    customer: str | None = None
    export_id: uuid.UUID = field(default_factory=uuid.uuid4)


def read_filters(given: Sequence[str]) -> dict[str, str]:
    """`name=value`, each once."""
    filters: dict[str, str] = {}
    for one in given:
        name, sign, value = one.partition("=")
        if not sign or not value or name in filters:
            raise UsageWrong(
                f"--filter {one!r} is not NAME=VALUE, or names a filter twice",
                where="--filter",
                remedy="Write --filter kind=payment; `billfleet export datasets NAME` lists them.",
            )
        filters[name] = value
    return filters


def event_of(wish: Wish) -> ExportRequested:
    """The request, once everything in it is known to be there.

    Raises:
        UsageWrong: a data set, format, column, filter or value that there is not.
    """
    try:
        select(
            find(wish.dataset, wish.form),
            wish.tenant,
            columns=wish.columns,
            filters=wish.filters,
        )
        return ExportRequested.model_validate(
            {
                "export_id": str(wish.export_id),
                "dataset": wish.dataset,
                "format": wish.form,
                "filters": dict(wish.filters),
                "columns": tuple(wish.columns),
                "locale": wish.locale,
                "notify_contact_id": wish.contact,
                "notify_customer_id": wish.customer,
            }
        )
    except SelectionWrong as wrong:
        raise UsageWrong(
            f"This can't be exported: {wrong}",
            where=f"data set {wish.dataset}",
            remedy="`billfleet export datasets NAME` shows columns, filters and formats.",
        ) from None
    except ValidationError as error:
        problems = "; ".join(f"{one['loc']}: {one['msg']}" for one in error.errors())
        raise UsageWrong(
            f"This is no request: {problems}", where="options", remedy="See --help."
        ) from None


async def send(
    connection: AsyncConnection, wish: Wish, event: ExportRequested, *, now: datetime
) -> bool:
    """Record the export and put the request on its way; False when it was asked for before."""
    envelope = wrap(event, tenant=wish.tenant, source=SOURCE, now=now)
    told = {"contact_id": wish.contact, "customer_id": wish.customer}
    is_new = await exports.request(
        connection,
        NewExport(
            tenant_id=wish.tenant,
            export_id=wish.export_id,
            dataset=wish.dataset,
            format=wish.form,
            locale=wish.locale,
            work_id=envelope.id,
            requested_at=now,
            filters=dict(wish.filters),
            columns=list(wish.columns),
            notify={name: value for name, value in told.items() if value is not None},
        ),
    )
    if not is_new:
        return False
    leaving = Outgoing.from_envelope(envelope)
    row = outbox.NewOutboxRow(
        tenant_id=wish.tenant,
        event_id=envelope.id,
        event_type=envelope.type,
        route_kind=leaving.route.kind,
        route_name=leaving.route.name,
        group_id=leaving.group_id,
        dedupe_key=envelope.dedupekey,
        body=leaving.body,
    )
    await outbox.add(connection, [row])
    return True
