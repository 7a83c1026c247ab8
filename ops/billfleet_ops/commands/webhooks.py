"""`billfleet webhooks`: where tenants are told of what the fleet announces, and what came of it.

Endpoints and the log are the database room's, sending is the webhooks worker's. This module takes
options, makes secrets and shows them once.
"""

import base64
import json
import secrets as chance
import uuid
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer
from sqlalchemy.ext.asyncio import AsyncConnection

from billfleet_contracts import CATALOGUE, DeliverWebhook, wrap
from billfleet_db import outbox, tenants, webhook_deliveries, webhooks
from billfleet_db.outbox import NewOutboxRow
from billfleet_db.webhook_deliveries import Attempt, Delivery, NewDelivery
from billfleet_db.webhooks import Endpoint
from billfleet_ops.account_lookup import unknown_tenant
from billfleet_ops.configuration import load_settings
from billfleet_ops.errors import Refused, UsageWrong
from billfleet_ops.in_database import in_database
from billfleet_ops.output import Output
from billfleet_ops.teaching import lesson
from billfleet_producers.outgoing import Outgoing

SECRET_BYTES = 32
TEST_TYPE = "billfleet.webhooks.test"

Tenant = Annotated[str, typer.Option("--tenant", help="The tenant's id.")]
AsJson = Annotated[bool, typer.Option("--json", help="For a program.")]
EndpointId = Annotated[str, typer.Argument(metavar="ENDPOINT", help="Its id.")]

group = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


def register(app: typer.Typer) -> None:
    """Add the group of commands."""
    app.add_typer(
        group,
        name="webhooks",
        help="Webhook endpoints of tenants: add, test, look at deliveries.",
        epilog=lesson(
            ("billfleet webhooks add https://shop.example/hooks --tenant acme", "hear everything"),
            ("billfleet webhooks deliveries --tenant acme", "what was told, and what came back"),
        ),
    )


@group.command(
    "add",
    epilog=lesson(
        (
            "billfleet webhooks add https://a.test/h --tenant acme --event 'billfleet.billing.*'",
            "hear of billing only",
        ),
    ),
)
def add(
    url: Annotated[str, typer.Argument(metavar="URL", help="It begins with https://.")],
    tenant: Tenant,
    event: Annotated[
        list[str] | None, typer.Option("--event", help="A type, or a family; all without it.")
    ] = None,
    description: Annotated[str, typer.Option(help="For people.")] = "",
    as_json: AsJson = False,
) -> None:
    """Add an endpoint. Its secret is shown once; what it hears is signed with it."""
    _check_url(url)
    wanted = _checked_types(event or [])
    now = datetime.now(UTC)
    endpoint = Endpoint(
        tenant, f"we_{chance.token_hex(8)}", url, description[:200], wanted, created_at=now
    )
    secret = _new_secret()

    async def record(connection: AsyncConnection) -> None:
        if await tenants.get_tenant(connection, tenant) is None:
            known = [one.tenant_id for one in await tenants.all_tenants(connection)]
            raise unknown_tenant(tenant, known)
        await webhooks.add(connection, endpoint, secret=secret)

    in_database(record)
    _show_secret(endpoint.endpoint_id, secret, as_json=as_json)


@group.command("list", epilog=lesson(("billfleet webhooks list --tenant acme", "and their state")))
def list_endpoints(tenant: Tenant, as_json: AsJson = False) -> None:
    """List a tenant's endpoints."""

    async def read(connection: AsyncConnection) -> list[Endpoint]:
        return await webhooks.of_tenant(connection, tenant)

    found, output = in_database(read), Output()
    if as_json:
        output.json([_plain(endpoint) for endpoint in found])
        return
    rows = [
        (one.endpoint_id, one.url, ", ".join(one.event_types) or "everything", _state(one))
        for one in found
    ]
    output.table(["endpoint", "url", "hears of", "state"], rows)


@group.command(
    "deliveries",
    epilog=lesson(
        ("billfleet webhooks deliveries --tenant acme", "the newest fifty"),
        ("billfleet webhooks deliveries --tenant acme --delivery ID", "one, with every try"),
    ),
)
def deliveries(
    tenant: Tenant,
    endpoint: Annotated[str | None, typer.Option(help="Of this endpoint only.")] = None,
    delivery: Annotated[str | None, typer.Option(help="This one, with every try.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000)] = 50,
    as_json: AsJson = False,
) -> None:
    """Show what endpoints were told, how often it was tried, and how it ended."""
    if delivery is not None:
        _show_delivery(tenant, delivery, as_json=as_json)
        return

    async def read(connection: AsyncConnection) -> list[Delivery]:
        return await webhook_deliveries.latest(
            connection, tenant, endpoint_id=endpoint, limit=limit
        )

    found, output = in_database(read), Output()
    if as_json:
        output.json([_plain(one) for one in found])
        return
    rows = [
        (
            one.created_at.isoformat(timespec="seconds"),
            one.endpoint_id,
            one.event_type.removeprefix("billfleet."),
            one.state,
            one.attempts_made,
            one.last_error or str(one.last_status or "-"),
            one.delivery_id,
        )
        for one in found
    ]
    output.table(["since", "endpoint", "event", "state", "tries", "last", "delivery"], rows)


@group.command(
    "rotate-secret",
    epilog=lesson(
        ("billfleet webhooks rotate-secret we_1 --tenant acme", "both sign for a day"),
    ),
)
def rotate_secret(
    endpoint: EndpointId,
    tenant: Tenant,
    overlap_hours: Annotated[float, typer.Option(min=0, help="Both secrets sign so long.")] = 24.0,
    as_json: AsJson = False,
) -> None:
    """Make a new secret; deliveries carry a signature of the old one too, for a while."""
    now, secret = datetime.now(UTC), _new_secret()

    async def rotate(connection: AsyncConnection) -> None:
        known = await _known(connection, tenant, endpoint)
        until = now + timedelta(hours=overlap_hours)
        await webhooks.rotate_secret(connection, known, secret, now=now, old_until=until)

    in_database(rotate)
    _show_secret(endpoint, secret, as_json=as_json)


@group.command("test", epilog=lesson(("billfleet webhooks test we_1 --tenant acme", "see it come")))
def test(endpoint: EndpointId, tenant: Tenant) -> None:
    """Tell an endpoint of a test, through the queue and the worker like everything else."""
    now = datetime.now(UTC)
    event_id = str(uuid.uuid4())
    body = {
        "type": TEST_TYPE,
        "timestamp": now.isoformat().replace("+00:00", "Z"),
        "id": event_id,
        "tenant": tenant,
        "subject": None,
        "data": {"says": "This is a test of your endpoint."},
    }
    new = NewDelivery(tenant, str(uuid.uuid4()), endpoint, event_id, TEST_TYPE, json.dumps(body))

    async def enqueue(connection: AsyncConnection) -> None:
        await _known(connection, tenant, endpoint)
        await webhook_deliveries.add(connection, [new], now=now)
        await outbox.add(connection, [_row(new, now)])

    in_database(enqueue)
    Output().say(
        f"On its way: billfleet webhooks deliveries --tenant {tenant} --delivery {new.delivery_id}"
    )


@group.command(
    "enable", epilog=lesson(("billfleet webhooks enable we_1 --tenant acme", "after a repair"))
)
def enable(endpoint: EndpointId, tenant: Tenant) -> None:
    """Switch an endpoint on again that was switched off, by us or by hand."""

    async def switch(connection: AsyncConnection) -> None:
        await _known(connection, tenant, endpoint)
        await webhooks.enable(connection, tenant, endpoint)

    in_database(switch)
    Output().say(f"{endpoint} hears again of what is announced from now on.")


@group.command(
    "disable", epilog=lesson(("billfleet webhooks disable we_1 --tenant acme", "tell it no more"))
)
def disable(endpoint: EndpointId, tenant: Tenant) -> None:
    """Switch an endpoint off: what is under way is cancelled, and nothing new is told."""
    now = datetime.now(UTC)

    async def switch(connection: AsyncConnection) -> None:
        await _known(connection, tenant, endpoint)
        await webhooks.disable(connection, tenant, endpoint, "switched off by hand", now=now)

    in_database(switch)
    Output().say(f"{endpoint} is switched off.")


def _show_delivery(tenant: str, delivery_id: str, *, as_json: bool) -> None:
    async def read(connection: AsyncConnection) -> tuple[Delivery | None, list[Attempt]]:
        return (
            await webhook_deliveries.get(connection, tenant, delivery_id),
            await webhook_deliveries.attempts_of(connection, tenant, delivery_id),
        )

    found, attempts = in_database(read)
    if found is None:
        raise UsageWrong(
            f"There is no delivery {delivery_id}",
            where=f"tenant {tenant}",
            remedy="`billfleet webhooks deliveries` lists the newest.",
        )
    output = Output()
    if as_json:
        output.json(_plain(found) | {"attempts": [_plain(one) for one in attempts]})
        return
    output.say(f"{found.event_type} to {found.endpoint_id}: {found.state}")
    rows = [
        (
            one.attempt_no,
            one.started_at.isoformat(timespec="seconds"),
            one.duration_ms,
            one.status,
            one.error or one.answer or "-",
        )
        for one in attempts
    ]
    output.table(["try", "at", "ms", "status", "said"], rows)
    if found.next_attempt_at is not None:
        output.say(f"Next try at {found.next_attempt_at.isoformat(timespec='seconds')}.")


async def _known(connection: AsyncConnection, tenant: str, endpoint_id: str) -> Endpoint:
    found = await webhooks.get(connection, tenant, endpoint_id)
    if found is None:
        raise UsageWrong(
            f"There is no endpoint {endpoint_id}",
            where=f"tenant {tenant}",
            remedy="`billfleet webhooks list` shows those that there are.",
        )
    return found


def _check_url(url: str) -> None:
    from billfleet_workers.main.webhooks import TargetRefused, check_target

    try:
        check_target(load_settings(), url)
    except TargetRefused as refused:
        raise Refused(
            f"No webhook may go there: {refused.reason}",
            where=url[:200],
            remedy="Name a public address that begins with https://.",
        ) from None


def _checked_types(wanted: list[str]) -> list[str]:
    facts = {name for name, entry in CATALOGUE.items() if entry.route.kind == "topic"}
    families = {f"{name.rsplit('.', 2)[0]}.*" for name in facts}
    unknown = sorted(set(wanted) - facts - families)
    if unknown:
        raise UsageWrong(
            f"Nothing of that type is announced: {', '.join(unknown)}",
            where="--event",
            remedy=f"Families: {', '.join(sorted(families))}. Types: {', '.join(sorted(facts))}.",
        )
    return list(dict.fromkeys(wanted))


def _row(delivery: NewDelivery, now: datetime) -> NewOutboxRow:
    event = DeliverWebhook(endpoint_id=delivery.endpoint_id, delivery_id=delivery.delivery_id)
    envelope = wrap(event, tenant=delivery.tenant_id, source="/billfleet/command", now=now)
    leaving = Outgoing.from_envelope(envelope)
    return NewOutboxRow(
        tenant_id=delivery.tenant_id,
        event_id=envelope.id,
        event_type=envelope.type,
        route_kind=leaving.route.kind,
        route_name=leaving.route.name,
        group_id=leaving.group_id,
        dedupe_key=envelope.dedupekey,
        body=leaving.body,
    )


def _new_secret() -> str:
    return f"whsec_{base64.b64encode(chance.token_bytes(SECRET_BYTES)).decode()}"


def _show_secret(endpoint_id: str, secret: str, *, as_json: bool) -> None:
    output = Output()
    if as_json:
        output.json({"endpoint": endpoint_id, "secret": secret})
        return
    output.say(f"{endpoint_id} {secret}")
    output.note("The secret is shown once. Verify with it what arrives (Standard Webhooks).")


def _state(endpoint: Endpoint) -> str:
    if endpoint.disabled_reason is not None:
        return f"off: {endpoint.disabled_reason}"
    if endpoint.failing_since is not None:
        return f"failing since {endpoint.failing_since.isoformat(timespec='minutes')}"
    return "on"


def _plain(row: Endpoint | Delivery | Attempt) -> dict[str, Any]:
    shown = {name: getattr(row, name) for name in type(row).__slots__}
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in shown.items()
    }
