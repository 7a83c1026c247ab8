"""`billfleet mail` about people: contacts, suppressed addresses, what a tenant has mailed.

`commands.mail` adds these to its group. It sends nothing itself.
"""

from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer
from sqlalchemy.ext.asyncio import AsyncConnection

from billfleet_db import tenants
from billfleet_db.mail import Contact, Suppression, policies, recipients, suppressions
from billfleet_ops.account_lookup import unknown_tenant
from billfleet_ops.errors import UsageWrong
from billfleet_ops.exits import Exit
from billfleet_ops.in_database import in_database
from billfleet_ops.mail_views import moment
from billfleet_ops.output import Output
from billfleet_ops.teaching import lesson

FACTS = ("receipt", "payment_failed", "points_expiring")
"""Facts that a tenant may have mailed or not; a test compares them with the worker's."""

AsJson = Annotated[bool, typer.Option("--json", help="For a program.")]
Tenant = Annotated[str, typer.Option("--tenant", help="The tenant's id.")]
OneTenant = Annotated[str | None, typer.Option("--tenant", help="This tenant; all without it.")]
Address = Annotated[str, typer.Argument(metavar="ADDRESS", help="A mail address.")]


def register(group: typer.Typer) -> None:
    """Add the commands to the group."""
    group.command(
        "suppressed",
        short_help="List addresses that are not written to.",
        epilog=lesson(("billfleet mail suppressed --tenant acme", "each with its reason")),
    )(suppressed)
    group.command(
        "suppress",
        short_help="Write to an address no more.",
        epilog=lesson(("billfleet mail suppress ada@example.com --tenant acme", "on request")),
    )(suppress)
    group.command(
        "lift",
        short_help="Write to an address again.",
        epilog=lesson(("billfleet mail lift ada@example.com --tenant acme", "it was repaired")),
    )(lift)
    group.command(
        "contact",
        short_help="Record a person of a tenant.",
        epilog=lesson(
            (
                "billfleet mail contact boss --tenant acme --name Grace --email grace@acme.example",
                "reports and exports may be mailed to her",
            ),
        ),
    )(contact)
    group.command(
        "policy",
        short_help="Say which facts a tenant's customers are mailed.",
        epilog=lesson(
            ("billfleet mail policy --tenant acme --on receipt", "a receipt for each payment"),
            ("billfleet mail policy --tenant acme", "what has been chosen"),
        ),
    )(policy)


def suppressed(tenant: OneTenant = None, as_json: AsJson = False) -> None:
    """List addresses that a tenant does not write to any more, and why."""

    async def read(connection: AsyncConnection) -> list[Suppression]:
        return await suppressions.newest(connection, tenant_id=tenant)

    found, output = in_database(read), Output()
    if as_json:
        output.json([asdict(one) for one in found])
        return
    if not found:
        output.say("No address is suppressed.")
        return
    rows = [
        (one.address, one.tenant_id, one.scope, one.reason, one.detail, moment(one.suppressed_at))
        for one in found
    ]
    output.table(("address", "tenant", "scope", "reason", "detail", "since"), rows)


def suppress(
    address: Address,
    tenant: Tenant,
    marketing: Annotated[
        bool, typer.Option("--marketing", help="No marketing; bills still go.")
    ] = False,
) -> None:
    """Write to an address no more, for one tenant."""

    async def act(connection: AsyncConnection) -> bool:
        await _check_tenant(connection, tenant)
        return await suppressions.add(
            connection,
            Suppression(
                tenant_id=tenant,
                address=address,
                scope="marketing" if marketing else "all",
                reason="operator",
                suppressed_at=datetime.now(UTC),
            ),
        )

    news = in_database(act)
    Output().say("Suppressed." if news else "It was suppressed before; its reason stays.")


def lift(address: Address, tenant: Tenant) -> None:
    """Write to an address again. An address that bounced once bounces again unless repaired."""

    async def act(connection: AsyncConnection) -> int:
        return await suppressions.lift(connection, tenant, address)

    if not in_database(act):
        Output().say("It was not suppressed.")
        raise typer.Exit(Exit.FAILED)
    Output().say("Lifted.")


def contact(
    contact_id: Annotated[str, typer.Argument(metavar="CONTACT", help="An id of your choice.")],
    tenant: Tenant,
    name: Annotated[str, typer.Option("--name", help="As it stands in a mail.")],
    email: Annotated[str, typer.Option("--email", help="Where mails reach the person.")],
    locale: Annotated[str, typer.Option("--locale", help="For days and figures.")] = "en-US",
) -> None:
    """Record a person of a tenant, to whom reports and exports may be mailed."""

    async def act(connection: AsyncConnection) -> None:
        await _check_tenant(connection, tenant)
        person = Contact(tenant, contact_id, name, email, locale)
        await recipients.upsert_contact(connection, person)

    in_database(act)
    Output().say(f"Contact {contact_id} of {tenant} is {name} <{email}>.")


def policy(
    tenant: Tenant,
    on: Annotated[list[str] | None, typer.Option("--on", help="Mail customers about it.")] = None,
    off: Annotated[list[str] | None, typer.Option("--off", help="Do not.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show or say which facts a tenant's customers are mailed.

    Facts: receipt (off unless chosen), payment_failed and points_expiring (on unless chosen).
    Workers take a change in within half a minute.
    """
    choices = dict.fromkeys(on or (), True) | dict.fromkeys(off or (), False)
    for fact in choices:
        if fact not in FACTS:
            raise UsageWrong(
                f"There is no fact {fact!r}", where="--on, --off", remedy=f"Say {', '.join(FACTS)}."
            )

    async def act(connection: AsyncConnection) -> dict[str, bool]:
        await _check_tenant(connection, tenant)
        if choices:
            await policies.choose(connection, tenant, choices)
        return dict(await policies.get(connection, tenant))

    chosen, output = in_database(act), Output()
    if as_json:
        output.json(chosen)
        return
    for fact in FACTS:
        said = {None: "as the house does", True: "on", False: "off"}[chosen.get(fact)]
        output.say(f"{fact:<16}{said}")


async def _check_tenant(connection: AsyncConnection, tenant: str) -> None:
    if await tenants.get_tenant(connection, tenant) is None:
        known = [one.tenant_id for one in await tenants.all_tenants(connection)]
        raise unknown_tenant(tenant, known)
