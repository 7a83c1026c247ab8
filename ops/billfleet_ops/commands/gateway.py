"""`billfleet gateway`: the HTTP front door, and the API keys that open it.

Serving is `front_door`'s, keys are made by the gateway and kept by the database room; this module
takes options and says what came of them.
"""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer
from sqlalchemy.ext.asyncio import AsyncConnection

from billfleet_db import api_keys, tenants
from billfleet_db.api_keys import ApiKey
from billfleet_ops.account_lookup import unknown_tenant
from billfleet_ops.configuration import load_settings
from billfleet_ops.errors import Refused, UsageWrong
from billfleet_ops.in_database import in_database
from billfleet_ops.output import Output
from billfleet_ops.teaching import lesson

Tenant = Annotated[str, typer.Option("--tenant", help="The tenant's id.")]
AsJson = Annotated[bool, typer.Option("--json", help="For a program.")]
Name = Annotated[str, typer.Argument(metavar="NAME", help="What the key is called.")]

group = typer.Typer(invoke_without_command=True, rich_markup_mode=None)
keys = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


def register(app: typer.Typer) -> None:
    """Add the command and its group."""
    app.add_typer(
        group,
        name="gateway",
        help="Serve the HTTP front door, or manage its API keys.",
        epilog=lesson(
            ("billfleet gateway", "serve until Ctrl-C; `billfleet up` runs one as well"),
            ("billfleet gateway keys create shop --tenant acme", "a key that may do everything"),
        ),
    )
    group.add_typer(
        keys,
        name="keys",
        help="API keys of a tenant: create, list, rotate, revoke.",
        epilog=lesson(
            (
                "billfleet gateway keys create till --tenant acme --scope loyalty:write",
                "one that may only send loyalty transactions",
            )
        ),
    )


@group.callback()
def gateway(
    context: typer.Context,
    host: Annotated[str | None, typer.Option(help="Default: BILLFLEET_HTTP_HOST.")] = None,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Default: BILLFLEET_HTTP_PORT.")
    ] = None,
) -> None:
    """Serve the HTTP front door until SIGTERM or Ctrl-C.

    It logs in as billfleet_gateway (GATEWAY_DATABASE_URL), whom row security lets see one tenant
    at a time. Run as many of them as you like, behind a balancer that speaks TLS. The interface
    is described at /openapi.json.
    """
    if context.invoked_subcommand is not None:
        return
    # Imported here, because no other command should wait for the web framework to load.
    from billfleet_ops.front_door import run_front_door
    from billfleet_workers.main import configure_logs

    settings = load_settings()
    configure_logs(settings.log_format, settings.log_level, for_good=True)
    at_host, at_port = host or settings.http_host, port or settings.http_port
    said = f"The front door listens on http://{at_host}:{at_port}. Ctrl-C stops it."

    def ready() -> None:
        Output().note(said)

    import uvloop

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run_front_door(settings, host=at_host, port=at_port, ready=ready))


@keys.command(
    "create",
    epilog=lesson(("billfleet gateway keys create shop --tenant acme", "shown once: keep it")),
)
def create(
    name: Name,
    tenant: Tenant,
    scope: Annotated[
        list[str] | None, typer.Option("--scope", help="What it may do; everything without it.")
    ] = None,
    days: Annotated[int | None, typer.Option(min=1, help="How long; for ever without it.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make an API key. It is shown once and kept only as a hash."""
    now = datetime.now(UTC)
    expires_at = None if days is None else now + timedelta(days=days)
    shown, key = _made(tenant, name, _scopes(scope or []), expires_at)

    async def add(connection: AsyncConnection) -> None:
        if await tenants.get_tenant(connection, tenant) is None:
            known = [one.tenant_id for one in await tenants.all_tenants(connection)]
            raise unknown_tenant(tenant, known)
        await api_keys.lock_name(connection, tenant, name)
        if _valid(await api_keys.of_tenant(connection, tenant), name, now):
            raise Refused(
                f"There is a valid key called {name}",
                where=f"tenant {tenant}",
                remedy="Rotate it, revoke it, or choose another name.",
            )
        await api_keys.add(connection, key, now=now)

    in_database(add)
    _show(shown, key, as_json=as_json)


@keys.command(
    "rotate",
    epilog=lesson(
        ("billfleet gateway keys rotate shop --tenant acme", "both are valid for a day"),
    ),
)
def rotate(
    name: Name,
    tenant: Tenant,
    overlap_hours: Annotated[
        float, typer.Option(min=0, help="How long the old key goes on working.")
    ] = 24.0,
    days: Annotated[
        int | None, typer.Option(min=1, help="How long; without it, to the end of the old one.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Make a new key of this name; the old one works for a while beside it."""
    now = datetime.now(UTC)
    until = now + timedelta(hours=overlap_hours)

    async def replace(connection: AsyncConnection) -> tuple[str, ApiKey]:
        await api_keys.lock_name(connection, tenant, name)
        old = _valid(await api_keys.of_tenant(connection, tenant), name, now)
        if not old:
            raise _no_key(tenant, name)
        # Two at once, not three: of an earlier rotation only the newest goes on.
        for key in old[:-1]:
            await api_keys.expire(connection, key, at=now)
        await api_keys.expire(connection, old[-1], at=until)
        expires_at = old[-1].expires_at if days is None else now + timedelta(days=days)
        shown, key = _made(tenant, name, list(old[-1].scopes), expires_at)
        await api_keys.add(connection, key, now=now)
        return shown, key

    shown, key = in_database(replace)
    _show(shown, key, as_json=as_json)


@keys.command(
    "revoke",
    epilog=lesson(("billfleet gateway keys revoke shop --tenant acme", "all of that name")),
)
def revoke(name: Name, tenant: Tenant) -> None:
    """End a key (by its id) or all keys of a name. Front doors hear of it within seconds."""
    now = datetime.now(UTC)

    async def end(connection: AsyncConnection) -> list[str]:
        return await api_keys.revoke(connection, tenant, name, now=now)

    ended = in_database(end)
    if not ended:
        raise _no_key(tenant, name)
    Output().say(f"Revoked: {', '.join(ended)}.")


@keys.command(
    "list",
    epilog=lesson(("billfleet gateway keys list --tenant acme", "names, scopes, until when")),
)
def list_keys(tenant: Tenant, as_json: AsJson = False) -> None:
    """List a tenant's keys; their secrets are nowhere to be seen."""
    now = datetime.now(UTC)

    async def read(connection: AsyncConnection) -> list[ApiKey]:
        return await api_keys.of_tenant(connection, tenant)

    rows = [
        {
            "name": key.name,
            "id": key.key_id,
            "state": _state(key, now),
            "until": key.expires_at.isoformat(timespec="seconds") if key.expires_at else None,
            "scopes": list(key.scopes),
        }
        for key in in_database(read)
    ]
    output = Output()
    if as_json:
        output.json(rows)
        return
    output.table(
        ["name", "id", "state", "until", "may"],
        [
            (
                str(row["name"]),
                str(row["id"]),
                str(row["state"]),
                str(row["until"] or "-"),
                ", ".join(str(scope) for scope in row["scopes"] or ()),
            )
            for row in rows
        ],
    )


def _made(
    tenant: str, name: str, scopes: list[str], expires_at: datetime | None
) -> tuple[str, ApiKey]:
    from billfleet_gateway.credentials import new_key

    made = new_key()
    return made.shown, ApiKey(made.key_id, tenant, name, made.secret_hash, scopes, expires_at, None)


def _scopes(given: list[str]) -> list[str]:
    from billfleet_gateway.credentials import SCOPES

    unknown = sorted(set(given) - set(SCOPES))
    if unknown:
        raise UsageWrong(
            f"There is no scope called {', '.join(unknown)}",
            where="--scope",
            remedy=f"The scopes are: {', '.join(SCOPES)}.",
        )
    return list(dict.fromkeys(given)) or list(SCOPES)


def _valid(known: list[ApiKey], name: str, now: datetime) -> list[ApiKey]:
    return [key for key in known if key.name == name and key.is_valid(now)]


def _state(key: ApiKey, now: datetime) -> str:
    if key.revoked_at is not None:
        return "revoked"
    if not key.is_valid(now):
        return "expired"
    return "valid"


def _no_key(tenant: str, name: str) -> Refused:
    return Refused(
        f"There is no valid key called {name}",
        where=f"tenant {tenant}",
        remedy="`billfleet gateway keys list` shows those that there are.",
    )


def _show(shown: str, key: ApiKey, *, as_json: bool) -> None:
    output = Output()
    if as_json:
        output.json({"id": key.key_id, "name": key.name, "key": shown, "scopes": list(key.scopes)})
        return
    output.say(shown)
    output.note("This is shown once. Send it as `Authorization: Bearer …`.")
