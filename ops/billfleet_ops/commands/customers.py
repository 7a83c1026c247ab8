"""`billfleet customers`: who they are, what they decided, what they prefer.

The rows are `billfleet_db`'s, the file `customer_file`'s; this module takes options and prints.
"""

import asyncio
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from billfleet_db import consents, customers
from billfleet_db.consents import Decision, Preference, Purpose
from billfleet_ops.customer_file import CustomerFile, read_customers
from billfleet_ops.errors import UsageWrong
from billfleet_ops.one_tenant import tenant_connection
from billfleet_ops.output import Output
from billfleet_ops.teaching import lesson
from billfleet_ops.why_words import moment

COLUMNS = """A file has the column customer_id, and of these what there is to say: name, email,
locale, consent:marketing, consent:expiry_warnings, consent:insights (yes or no; empty says
nothing), preference:NAME."""
TenantOption = Annotated[str, typer.Option("--tenant", help="The tenant's id.")]
AsJson = Annotated[bool, typer.Option("--json", help="For a program.")]
CustomerArgument = Annotated[str, typer.Argument(metavar="CUSTOMER", help="The customer's id.")]

group = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


def register(app: typer.Typer) -> None:
    """Add the group of commands."""
    app.add_typer(
        group,
        name="customers",
        help="Customers: import them, record what they decided, show one.",
        epilog=lesson(("billfleet customers show C-17 --tenant acme", "all that is known")),
    )


@group.command(
    "import",
    epilog=lesson(
        ("billfleet customers import people.csv --tenant acme", "all rows"), about=COLUMNS
    ),
)
def import_customers(
    file: Annotated[Path, typer.Argument(metavar="FILE.csv", help="One customer a row.")],
    tenant: TenantOption,
    as_json: AsJson = False,
) -> None:
    """Create or update customers, with their consents and preferences. All rows, or none.

    A consent that says what holds already is no new decision. Importing a file twice changes
    nothing.
    """
    said = read_customers(file, tenant, datetime.now(UTC))
    news = asyncio.run(_import(said, tenant))
    counts: dict[str, int] = {
        "customers": len(said.customers),
        "new_decisions": news,
        "preferences": len(said.preferences),
    }
    if as_json:
        Output().json(counts)
        return
    rows = [(name.replace("_", " "), count) for name, count in counts.items()]
    Output().table(("imported", "count"), rows)


@group.command(
    "consent",
    epilog=lesson(
        ("billfleet customers consent C-17 marketing no --tenant acme", "no more marketing"),
        ("billfleet customers consent C-17 expiry_warnings yes --tenant acme", "tell them again"),
    ),
)
def consent(
    customer: CustomerArgument,
    purpose: Annotated[Purpose, typer.Argument(help="What it is about.")],
    given: Annotated[Literal["yes", "no"], typer.Argument(help="What the customer said.")],
    tenant: TenantOption,
) -> None:
    """Record a customer's decision. The latest of a purpose holds; earlier ones are kept."""
    decision = Decision(customer, purpose, given == "yes", datetime.now(UTC))
    is_new = asyncio.run(_consent(tenant, decision))
    Output().say(
        f"{customer} said {given} to {purpose}." if is_new else f"That held already: {given}."
    )


@group.command(
    "prefer",
    epilog=lesson(("billfleet customers prefer C-17 store north-1 --tenant acme", "their store")),
)
def prefer(
    customer: CustomerArgument,
    name: Annotated[str, typer.Argument(help="Such as store.")],
    value: Annotated[str, typer.Argument(help="Such as north-1.")],
    tenant: TenantOption,
) -> None:
    """Set a preference of a customer."""
    asyncio.run(_prefer(tenant, Preference(customer, name, value)))
    Output().say(f"{customer} prefers {name} {value}.")


@group.command("show", epilog=lesson(("billfleet customers show C-17 --tenant acme", "one")))
def show(customer: CustomerArgument, tenant: TenantOption, as_json: AsJson = False) -> None:
    """Show a customer: name, address, decisions, preferences."""
    found = asyncio.run(_show(tenant, customer))
    output = Output()
    if as_json:
        output.json(found)
        return
    said = found["customer"]
    rows = [("name", said["name"]), ("email", said["email"]), ("locale", said["locale"])]
    rows += [(f"prefers {one['name']}", one["value"]) for one in found["preferences"]]
    output.table(("customer", said["customer_id"]), rows)
    output.table(
        ("purpose", "said", "when"),
        [
            (one["purpose"], "yes" if one["is_given"] else "no", moment(one["decided_at"]))
            for one in found["decisions"]
        ],
        title="Decisions",
    )


async def _import(said: CustomerFile, tenant: str) -> int:
    async with tenant_connection(tenant) as connection:
        write = customers.upsert_customers if said.has_names else customers.add_customers
        await write(connection, said.customers)
        await consents.prefer(connection, tenant, said.preferences)
        return await consents.decide(connection, tenant, said.decisions)


async def _consent(tenant: str, decision: Decision) -> bool:
    async with tenant_connection(tenant) as connection:
        await _existing(connection, tenant, decision.customer_id)
        return await consents.decide(connection, tenant, [decision]) == 1


async def _prefer(tenant: str, preference: Preference) -> None:
    async with tenant_connection(tenant) as connection:
        await _existing(connection, tenant, preference.customer_id)
        await consents.prefer(connection, tenant, [preference])


async def _show(tenant: str, customer_id: str) -> dict[str, Any]:
    async with tenant_connection(tenant) as connection:
        customer = await _existing(connection, tenant, customer_id)
        decided = await consents.decisions_of(connection, tenant, customer_id)
        preferred = await consents.preferences_of(connection, tenant, customer_id)
    return {
        "customer": asdict(customer),
        "decisions": [asdict(one) for one in decided],
        "preferences": [asdict(one) for one in preferred],
    }


async def _existing(connection: Any, tenant: str, customer_id: str) -> customers.Customer:
    found = await customers.get_customers(connection, tenant, [customer_id])
    if customer_id not in found:
        raise UsageWrong(
            f"There is no customer {customer_id!r}",
            where=f"tenant {tenant}",
            remedy="Check the id. `billfleet customers import` brings customers in.",
        )
    return found[customer_id]
