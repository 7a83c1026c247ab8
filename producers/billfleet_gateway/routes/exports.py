"""Exports: ask for a file of rows, see how far it has come, get a link to it."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Body, Depends, Path, Response
from pydantic import Field, ValidationError
from sqlalchemy.ext.asyncio import AsyncConnection

from billfleet_contracts import AccountId, ExportRequested
from billfleet_contracts.exports import (
    ColumnName,
    DatasetName,
    ExportFormat,
    ExportId,
    FilterName,
    FilterValue,
    Locale,
)
from billfleet_contracts.links import make_link
from billfleet_db import exports
from billfleet_db.exports import Export, NewExport, State
from billfleet_gateway.accepting import accept
from billfleet_gateway.answers import Answer, Once, once, shown
from billfleet_gateway.callers import Needs
from billfleet_gateway.credentials import Caller
from billfleet_gateway.door import Door, TheDoor
from billfleet_gateway.fields import Closed, View
from billfleet_gateway.problems import Problem, not_found

router = APIRouter(prefix="/v1/exports", tags=["exports"])
Reader = Annotated[Caller, Depends(Needs("exports:read"))]
Writer = Annotated[Caller, Depends(Needs("exports:write"))]


class ExportGiven(Closed):
    """What to export. Without an id one is made; with one, the same request is the same export."""

    export_id: ExportId | None = None
    dataset: DatasetName
    format: ExportFormat
    filters: Annotated[dict[FilterName, FilterValue], Field(max_length=32)] = Field(
        default_factory=dict
    )
    columns: Annotated[list[ColumnName], Field(max_length=64)] = Field(default_factory=list)
    locale: Locale = "en-US"
    notify_contact_id: AccountId | None = None
    notify_customer_id: AccountId | None = None


class ExportAccepted(View):
    """An export that was asked for, and the work that makes it."""

    export_id: str
    work_id: str


class ExportView(View):
    """An export by now. `download_url` is there while it is ready; it can be passed on."""

    export_id: str
    dataset: str
    format: str
    state: State
    requested_at: datetime
    finished_at: datetime | None
    expires_at: datetime | None
    rows_written: int
    bytes_count: int
    file_name: str | None
    failure: str | None
    download_url: str | None


@router.post("", status_code=202, response_model=ExportAccepted)
async def ask_for_export(
    body: Annotated[ExportGiven, Body()], caller: Writer, asked: Once
) -> Response:
    """Have rows written into a file. Whoever is named is mailed when it is there."""
    event = _event(body)

    async def ask(connection: AsyncConnection) -> Answer:
        [work_id], new = await accept(connection, asked, caller, [event])
        if work_id in new:
            await exports.request(connection, _row(event, caller.tenant, work_id, asked.door.now()))
        answer = ExportAccepted(export_id=event.export_id, work_id=work_id)
        return Answer(202, answer, f"/v1/exports/{event.export_id}")

    return await once(asked, caller, ask)


@router.get("/{export_id}", response_model=ExportView)
async def get_export(export_id: Annotated[UUID, Path()], caller: Reader, door: TheDoor) -> Response:
    """How far an export has come, and where its file is."""
    async with door.of_tenant(caller.tenant) as connection:
        found = await exports.find(connection, caller.tenant, export_id, now=door.now())
    if found is None:
        raise not_found("export")
    return shown(_view(found, door))


def _event(body: ExportGiven) -> ExportRequested:
    given = body.model_dump(exclude_none=True)
    given.setdefault("export_id", str(uuid.uuid4()))
    try:
        return ExportRequested.model_validate(given)
    except ValidationError as error:
        reason = str(error.errors(include_url=False, include_input=False)[0]["msg"])
        raise Problem("invalid", reason.removeprefix("Value error, ")) from None


def _row(event: ExportRequested, tenant: str, work_id: str, now: datetime) -> NewExport:
    told = {
        "contact_id": event.notify_contact_id,
        "customer_id": event.notify_customer_id,
    }
    return NewExport(
        tenant_id=tenant,
        export_id=UUID(event.export_id),
        dataset=event.dataset,
        format=event.format,
        locale=event.locale,
        work_id=work_id,
        requested_at=now,
        filters=event.filters,
        columns=event.columns,
        notify={name: value for name, value in told.items() if value is not None},
    )


def _view(found: Export, door: Door) -> ExportView:
    return ExportView(
        export_id=str(found.export_id),
        dataset=found.dataset,
        format=found.format,
        state=found.state,
        requested_at=found.requested_at,
        finished_at=found.finished_at,
        expires_at=found.expires_at,
        rows_written=found.rows_written,
        bytes_count=found.bytes_count,
        file_name=found.file_name,
        failure=found.failure,
        download_url=_download_url(found, door),
    )


def _download_url(found: Export, door: Door) -> str | None:
    options = door.options
    if found.state != "ready" or found.expires_at is None or not options.link_secrets:
        return None
    return make_link(
        options.public_url,
        options.link_secrets,
        kind="file",
        tenant=found.tenant_id,
        subject=str(found.export_id),
        expires_at=found.expires_at,
    )
