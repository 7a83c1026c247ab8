"""`billfleet business`: a tenant's brands, stores and staff, from a file.

The rows are `billfleet_db.business`'s; this module takes options and prints.
"""

import asyncio
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from pydantic import BaseModel, ConfigDict, Field

from billfleet_contracts import AccountId
from billfleet_contracts.fields import Currency
from billfleet_db import business, tenants
from billfleet_db.business import Brand, Business, Member, Store
from billfleet_db.tenants import Tenant
from billfleet_ops.commands.sweep import checked
from billfleet_ops.errors import Refused
from billfleet_ops.one_tenant import tenant_connection
from billfleet_ops.output import Output
from billfleet_ops.teaching import lesson
from billfleet_ops.yaml_file import read_model

EXAMPLE = """\
name: Acme Coffee
currency: EUR
time_zone: Europe/Berlin
brands:
  - {brand: north, name: North, stores: [{store: north-1, name: Harbour}]}
staff:
  - {staff: ada, name: Ada, role: manager, store: north-1}
"""
_CLOSED = ConfigDict(frozen=True, extra="forbid")
Name = Annotated[str, Field(min_length=1, max_length=200)]
TenantOption = Annotated[str, typer.Option("--tenant", help="The tenant's id.")]
AsJson = Annotated[bool, typer.Option("--json", help="For a program.")]

group = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


class StoreTerms(BaseModel):
    """A store of the brand that it stands under."""

    model_config = _CLOSED

    store: AccountId
    name: Name


class BrandTerms(BaseModel):
    """A brand and its stores."""

    model_config = _CLOSED

    brand: AccountId
    name: Name
    stores: tuple[StoreTerms, ...] = ()


class StaffTerms(BaseModel):
    """Somebody who works for the business; without a store, for all of them."""

    model_config = _CLOSED

    staff: AccountId
    name: Name
    role: business.Role
    store: AccountId | None = None


class BusinessFile(BaseModel):
    """What a file says of a business."""

    model_config = _CLOSED

    name: Name
    currency: Currency
    time_zone: str = "UTC"
    brands: tuple[BrandTerms, ...] = ()
    staff: tuple[StaffTerms, ...] = ()

    def rows(self) -> Business:
        """The same as rows of the database."""
        return Business(
            [Brand(one.brand, one.name) for one in self.brands],
            [Store(own.store, one.brand, own.name) for one in self.brands for own in one.stores],
            [Member(one.staff, one.name, one.role, one.store) for one in self.staff],
        )


def register(app: typer.Typer) -> None:
    """Add the group of commands."""
    app.add_typer(
        group,
        name="business",
        help="A tenant's brands, stores and staff: set them from a file, show them.",
        epilog=lesson(("billfleet business set acme.yaml --tenant acme", "create or rename")),
    )


@group.command(
    "set",
    epilog=lesson(
        ("billfleet business set acme.yaml --tenant acme", "all of it"),
        about="A whole business, as `acme.yaml` (JSON is taken as well):",
        file=EXAMPLE,
    ),
)
def set_business(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A business, in YAML or JSON.")],
    tenant: TenantOption,
) -> None:
    """Create or rename a tenant's brands, stores and staff; the tenant too, if it is new.

    What the file does not name stays. A store never moves to another brand, because cards have
    transactions there.
    """
    said = read_model(
        file,
        BusinessFile,
        what="business",
        remedy="`billfleet business set --help` shows a whole one.",
    )
    asyncio.run(_set(said, str(checked(tenant))))
    rows = said.rows()
    Output().say(
        f"Set {len(rows.brands)} brands, {len(rows.stores)} stores and {len(rows.staff)} staff."
    )


@group.command("show", epilog=lesson(("billfleet business show --tenant acme", "all of it")))
def show_business(tenant: TenantOption, as_json: AsJson = False) -> None:
    """Show a tenant's brands, stores and staff."""
    found = asyncio.run(_get(tenant))
    output = Output()
    if as_json:
        output.json(asdict(found))
        return
    stores = [(one.brand_id, one.store_id, one.name) for one in found.stores]
    staff = [(one.staff_id, one.name, one.role, one.store_id or "all") for one in found.staff]
    output.table(("brand", "name"), [(one.brand_id, one.name) for one in found.brands])
    output.table(("brand", "store", "name"), stores)
    output.table(("staff", "name", "role", "store"), staff)


async def _set(said: BusinessFile, tenant: str) -> None:
    # Imported here, because showing needs no zones.
    from billfleet_workers.dates import UnknownZone, zone_of

    try:
        zone_of(said.time_zone)
    except UnknownZone as error:
        raise Refused(str(error), where="time_zone", remedy="Such as Europe/Berlin.") from error
    async with tenant_connection() as connection:
        new = Tenant(tenant, said.name, said.currency, said.time_zone)
        await tenants.ensure_tenant(connection, new)
        elsewhere = await business.set_business(connection, tenant, said.rows())
        if elsewhere:
            raise Refused(
                f"These stores belong to another brand: {', '.join(elsewhere)}",
                where=f"tenant {tenant}",
                remedy="Leave them with their brand, or give the new ones other ids.",
            )


async def _get(tenant: str) -> Business:
    async with tenant_connection(tenant) as connection:
        return await business.get_business(connection, tenant)
