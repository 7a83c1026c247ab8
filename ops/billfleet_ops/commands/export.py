"""`billfleet export`: ask for files of rows, follow them, fetch, check, stop and revoke them.

Requests are `export_requests`, files `export_files`, looks `export_views`; this module takes
options and brings them together. Rows are written by the `export` worker alone.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer
from sqlalchemy.ext.asyncio import AsyncConnection

from billfleet_contracts import make_link
from billfleet_db import Database, exports, files, tenants
from billfleet_db.datasets import DATASETS
from billfleet_db.exports import Export
from billfleet_ops import export_files, export_views
from billfleet_ops.account_lookup import unknown_tenant
from billfleet_ops.configuration import clients_of, load_settings
from billfleet_ops.errors import OpsError, Refused, UsageWrong
from billfleet_ops.export_requests import Wish, event_of, read_filters, send
from billfleet_ops.output import Output
from billfleet_ops.runbooks import Runbook
from billfleet_ops.teaching import lesson
from billfleet_workers.settings import Settings

LOOK_EVERY_S = 0.5
LIST_MAX = 50
ENDED = ("ready", "failed", "cancelled", "expired", "revoked")
_STATEMENT = (
    "billfleet export request statement --tenant acme --format pdf --filter account_id=A-1"
    " --filter posted_from=2026-01-01 --filter posted_to=2026-03-31"
)
_CHOSEN = (
    "billfleet export request ledger --tenant acme --filter kind=payment"
    " --column posted_at,amount_minor,currency"
)
EPILOG = lesson(
    ("billfleet export datasets ledger", "its columns, filters and formats"),
    ("billfleet export request ledger --tenant acme --format csv --wait", "and see it written"),
    (_STATEMENT, "a PDF for a customer"),
    ("billfleet export download ID --tenant acme", "fetch the file and check it"),
    ("billfleet export revoke ID --tenant acme --reason 'wrong customer'", "refuse its links"),
)

Tenant = Annotated[str, typer.Option("--tenant", help="The tenant's id.")]
ExportIdArgument = Annotated[UUID, typer.Argument(metavar="ID", help="The export's id.")]
AsJson = Annotated[bool, typer.Option("--json", help="For a program.")]

group = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


def register(app: typer.Typer) -> None:
    """Add the group of commands."""
    app.add_typer(
        group, name="export", help="Files of rows: ask, follow, fetch, revoke.", epilog=EPILOG
    )


@group.command(
    "request",
    epilog=lesson(
        ("billfleet export request accounts --tenant acme --format xlsx", "every account"),
        (_CHOSEN, "some rows, some columns"),
    ),
)
def request(
    dataset: Annotated[str, typer.Argument(metavar="DATASET", help="See `datasets`.")],
    tenant: Tenant,
    form: Annotated[
        str, typer.Option("--format", help="csv, ndjson, parquet; xlsx to open; pdf.")
    ] = "csv",
    filters: Annotated[
        list[str] | None, typer.Option("--filter", metavar="NAME=VALUE", help="May be repeated.")
    ] = None,
    columns: Annotated[
        str, typer.Option("--column", metavar="A,B", help="In this order; all without it.")
    ] = "",
    locale: Annotated[str, typer.Option(help="For the words and numbers of a PDF.")] = "en-US",
    contact: Annotated[str | None, typer.Option(help="Who is told by mail: a contact.")] = None,
    customer: Annotated[str | None, typer.Option(help="Or a customer.")] = None,
    export_id: Annotated[UUID | None, typer.Option("--id", help="The same id: once.")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="Until it has ended.")] = False,
    as_json: AsJson = False,
) -> None:
    """Ask for an export. With --wait, end with 1 when there will be no file."""
    wish = Wish(
        tenant=tenant,
        dataset=dataset,
        form=form,
        filters=read_filters(filters or []),
        columns=[name.strip() for name in columns.split(",") if name.strip()],
        locale=locale,
        contact=contact,
        customer=customer,
        **({"export_id": export_id} if export_id else {}),
    )
    output, settings = Output(), load_settings()
    export = asyncio.run(_request(settings, wish, output, wait=wait))
    if not wait:
        if as_json:
            output.json(export_views.as_document(export))
        else:
            output.say(f"Asked for export {export.export_id}.")
            output.note(f"Follow it: billfleet export show {export.export_id} --tenant {tenant}")
        return
    export_views.show_one(output, export, _link(settings, export), as_json=as_json)
    if export.state != "ready":
        raise OpsError(
            f"The export is {export.state}",
            where=str(export.export_id),
            remedy=f"{export.failure or 'Ask for it again.'} See {Runbook.EXPORT_NOT_READY}.",
        )


@group.command(
    "list", epilog=lesson(("billfleet export list --tenant acme", "the latest, newest first"))
)
def show_all(
    tenant: Annotated[str | None, typer.Option("--tenant", help="All without it.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the latest exports with their progress."""
    found = asyncio.run(_list(load_settings(), tenant))
    export_views.show_list(Output(), found, as_json=as_json)


@group.command(
    "show", epilog=lesson(("billfleet export show ID --tenant acme", "state, manifest and link"))
)
def show(export_id: ExportIdArgument, tenant: Tenant, as_json: AsJson = False) -> None:
    """Show an export: its progress, what its file holds, and the link to it."""
    settings = load_settings()
    export = asyncio.run(_find(settings, tenant, export_id))
    export_views.show_one(Output(), export, _link(settings, export), as_json=as_json)


@group.command("cancel", epilog=lesson(("billfleet export cancel ID --tenant acme", "stop it")))
def cancel(export_id: ExportIdArgument, tenant: Tenant) -> None:
    """Ask for an export to be stopped; what it has written is dropped."""
    settings = load_settings()
    if not asyncio.run(_cancel(settings, tenant, export_id)):
        raise Refused(
            "The export has ended already",
            where=str(export_id),
            remedy="`billfleet export revoke` refuses its links.",
        )
    Output().say("It stops within seconds if it is running, and never begins if it is not.")


@group.command(
    "revoke",
    epilog=lesson(
        ("billfleet export revoke ID --tenant acme --reason 'wrong customer'", "at once, for ever")
    ),
)
def revoke(
    export_id: ExportIdArgument,
    tenant: Tenant,
    reason: Annotated[str, typer.Option("--reason", help="Kept with the file.")],
) -> None:
    """Refuse the file from now on: every link to it answers 410. It can't be undone."""
    settings = load_settings()
    if not asyncio.run(_revoke(settings, tenant, export_id, reason)):
        raise Refused(
            "There is no file to revoke, or it was revoked before",
            where=str(export_id),
            remedy="`billfleet export show` says how it stands.",
        )
    Output().say("Revoked. Links to it are refused from now on.")


@group.command(
    "download",
    epilog=lesson(
        ("billfleet export download ID --tenant acme", "under its own name"),
        ("billfleet export download ID --tenant acme --to out.csv", "under another"),
    ),
)
def download(
    export_id: ExportIdArgument,
    tenant: Tenant,
    to: Annotated[Path | None, typer.Option("--to", help="A file.")] = None,
) -> None:
    """Fetch the file and check it against its manifest; a wrong one is not kept."""
    settings = load_settings()
    export = asyncio.run(_find(settings, tenant, export_id))
    export_files.must_be_open(export)
    path = to or Path(str(export.file_name))
    pieces = export_files.stored(clients_of(settings), settings.bucket(), str(export.object_key))
    checked = export_files.download(pieces, path, export)
    Output().say(f"{path}: {export_views.size(checked.bytes_count)}, as its manifest says.")


@group.command(
    "verify",
    epilog=lesson(
        ("billfleet export verify ID --tenant acme", "what lies in the object store"),
        ("billfleet export verify ID --tenant acme ledger.csv", "a file that somebody sent back"),
    ),
)
def verify(
    export_id: ExportIdArgument,
    tenant: Tenant,
    file: Annotated[Path | None, typer.Argument(metavar="[FILE]", help="On this machine.")] = None,
    as_json: AsJson = False,
) -> None:
    """Compare a file with the manifest: bytes and SHA-256. Ends with 1 when it differs."""
    settings, output = load_settings(), Output()
    export = asyncio.run(_find(settings, tenant, export_id))
    if export.manifest is None:
        export_files.must_be_open(export)
    if file is not None:
        checked, found = export_files.check(export_files.read_file(file)), []
    else:
        clients, bucket = clients_of(settings), settings.bucket()
        checked = export_files.check(export_files.stored(clients, bucket, str(export.object_key)))
        found = export_files.manifest_differences(clients, bucket, export)
    found = checked.differences(export) + found
    if as_json:
        output.json({"matches": not found, "differences": found})
    if found:
        raise OpsError(
            f"The file is not what was exported: {'; '.join(found)}",
            where=str(file or export.object_key),
            remedy="Do not use it; download or request it again.",
        )
    if not as_json:
        output.say(f"{export_views.size(checked.bytes_count)}, SHA-256 as its manifest says.")


@group.command(
    "datasets", epilog=lesson(("billfleet export datasets ledger", "its columns and filters"))
)
def datasets(
    name: Annotated[str | None, typer.Argument(metavar="[DATASET]", help="One of them.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show what can be exported, and how."""
    if name is None:
        export_views.show_datasets(Output(), list(DATASETS.values()), as_json=as_json)
        return
    if name not in DATASETS:
        raise UsageWrong(
            f"There is no data set {name!r}",
            where="DATASET",
            remedy=f"There are {', '.join(DATASETS)}.",
        )
    export_views.show_dataset(Output(), DATASETS[name], as_json=as_json)


async def _request(settings: Settings, wish: Wish, output: Output, *, wait: bool) -> Export:
    event = event_of(wish)
    async with _connection(settings, wish.tenant) as connection:
        if not await send(connection, wish, event, now=_now()):
            output.note("This export was asked for before; nothing was sent.")
    while True:
        export = await _find(settings, wish.tenant, wish.export_id)
        if not wait or export.state in ENDED:
            return export
        await asyncio.sleep(LOOK_EVERY_S)


async def _list(settings: Settings, tenant: str | None) -> list[Export]:
    async with _connection(settings, tenant) as connection:
        return await exports.newest(connection, tenant, now=_now(), limit=LIST_MAX)


async def _find(settings: Settings, tenant: str, export_id: UUID) -> Export:
    async with _connection(settings, tenant) as connection:
        found = await exports.find(connection, tenant, export_id, now=_now())
    if found is None:
        raise UsageWrong(
            f"There is no export {export_id}",
            where=f"tenant {tenant}",
            remedy="`billfleet export list --tenant …` shows the latest.",
        )
    return found


async def _cancel(settings: Settings, tenant: str, export_id: UUID) -> bool:
    await _find(settings, tenant, export_id)
    async with _connection(settings, tenant) as connection:
        return await exports.cancel(connection, tenant, export_id, now=_now())


async def _revoke(settings: Settings, tenant: str, export_id: UUID, reason: str) -> bool:
    await _find(settings, tenant, export_id)
    async with _connection(settings, tenant) as connection:
        return await files.revoke(connection, tenant, export_id, reason=reason, now=_now())


@asynccontextmanager
async def _connection(settings: Settings, tenant: str | None) -> AsyncIterator[AsyncConnection]:
    """A transaction for one tenant, which must exist, or for all."""
    database = Database.connect(settings.database_url.get_secret_value(), pool_size=1)
    try:
        async with database.transaction() as connection:
            if tenant is not None:
                known = [each.tenant_id for each in await tenants.all_tenants(connection)]
                if tenant not in known:
                    raise unknown_tenant(tenant, known)
            yield connection
    finally:
        await database.close()


def _link(settings: Settings, export: Export) -> str | None:
    """The address that a mail would hold; none without a secret to sign it."""
    secrets = settings.link_secrets()
    if export.state != "ready" or export.expires_at is None or not secrets:
        return None
    return make_link(
        settings.public_url,
        secrets,
        kind="file",
        tenant=export.tenant_id,
        subject=str(export.export_id),
        expires_at=export.expires_at,
    )


def _now() -> datetime:
    return datetime.now(UTC)
