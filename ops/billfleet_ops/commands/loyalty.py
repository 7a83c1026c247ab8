"""`billfleet loyalty`: set a programme up, open and show cards, explain a transaction, verify.

The figures are the database room's and the worker's, their looks are `loyalty_views`; this module
takes options and brings them together. Points move only through messages.
"""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from billfleet_db import loyalty
from billfleet_db.customers import Customer, get_customers, upsert_customers
from billfleet_ops import loyalty_rebuilding, loyalty_refusals, loyalty_views
from billfleet_ops.card_reading import read_card
from billfleet_ops.configuration import load_settings
from billfleet_ops.errors import Refused, UsageWrong
from billfleet_ops.exits import Exit
from billfleet_ops.loyalty_views import CardSeen, TransactionSeen
from billfleet_ops.one_tenant import tenant_connection
from billfleet_ops.output import Output
from billfleet_ops.programme_file import ProgrammeFile, read_programme
from billfleet_ops.teaching import lesson

VERIFY_TIMEOUT_S = 3600.0
EXAMPLE = """\
programme: club
name: Our club
brand: north
stores: [north-1]
version: 1
valid_from: "2026-01-01T00:00:00Z"
rules:
  earning: {points: 1, per_minor: 100, currency: EUR}
  expiry: {months: 12}
  pending_days: 14
  stamps: {size: 10, reward_id: coffee}
warn_days: [30, 7]
rewards:
  - {reward: mug, name: A mug, points: 100, stock: 20}
  - {reward: coffee, name: Coffee}
"""

Tenant = Annotated[str, typer.Option("--tenant", help="The tenant's id.")]
OneTenant = Annotated[str | None, typer.Option("--tenant", help="This tenant; all without it.")]
AsJson = Annotated[bool, typer.Option("--json", help="For a program.")]
File = Annotated[Path, typer.Argument(metavar="FILE", help="A programme, in YAML or JSON.")]
CardArgument = Annotated[str, typer.Argument(metavar="CARD", help="The card's id.")]
At = Annotated[
    datetime | None,
    typer.Option("--at", formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S"], help="UTC; now without it."),
]

group = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
programmes = typer.Typer(no_args_is_help=True, rich_markup_mode=None)
cards = typer.Typer(no_args_is_help=True, rich_markup_mode=None)


def register(app: typer.Typer) -> None:
    """Add the group of commands."""
    example = lesson(("billfleet loyalty card show C-1 --tenant acme", "balance, lots, history"))
    app.add_typer(
        group,
        name="loyalty",
        help="Loyalty programmes and cards: set up, show, explain, verify.",
        epilog=example,
    )
    set_up = lesson(("billfleet loyalty programme set club.yaml --tenant acme", "a new version"))
    group.add_typer(programmes, name="programme", help="Set up and try rules.", epilog=set_up)
    group.add_typer(cards, name="card", help="Open and show cards.", epilog=example)
    loyalty_rebuilding.register(group)
    loyalty_refusals.register(group)


@programmes.command(
    "set",
    epilog=lesson(
        ("billfleet loyalty programme set club.yaml --tenant acme", "rules and rewards"),
        about="A whole programme, as `club.yaml` (JSON is taken as well):",
        file=EXAMPLE,
    ),
)
def set_programme(file: File, tenant: Tenant) -> None:
    """Create a programme, add a version of its rules, and set its rewards.

    A version is never changed: for other rules raise `version` and `valid_from`. Purchases follow
    the version that was valid when they happened. Rewards are replaced, their stock included, and
    so are the days on which cards are warned before points end.
    """
    said = read_programme(file)
    is_new = asyncio.run(_set_programme(said, tenant))
    version = f"version {said.version} of {said.programme}"
    Output().say(
        f"Set {version}, valid from {said.valid_from.isoformat()}."
        if is_new
        else f"{version} was set already; rewards and warnings are as the file says."
    )


@programmes.command(
    "try",
    epilog=lesson(
        ("billfleet loyalty programme try club.yaml --amount 2990", "which rule gives what"),
        (
            "billfleet loyalty programme try club.yaml --amount 2990 --store north-1 --tier gold",
            "a store and a tier with multipliers",
        ),
    ),
)
def try_programme(
    file: File,
    amount: Annotated[int, typer.Option("--amount", min=0, help="Minor units.")],
    redeemed: Annotated[int, typer.Option(min=0, help="Of these, paid with points.")] = 0,
    store: Annotated[str | None, typer.Option(help="Where it is bought.")] = None,
    tier: Annotated[str | None, typer.Option(help="The card's tier.")] = None,
    earned_today: Annotated[int, typer.Option(min=0, help="Counts towards the day's cap.")] = 0,
    time_zone: Annotated[str, typer.Option(help="The tenant's.")] = "UTC",
    at: At = None,
    as_json: AsJson = False,
) -> None:
    """Show what a purchase would earn under a file's rules, and why. Nothing is written."""
    # Imported here, because no other command should wait for the whole fleet to load.
    from billfleet_workers.dates import UnknownZone
    from billfleet_workers.main.loyalty import explain_purchase

    try:
        earned = explain_purchase(
            read_programme(file).rules,
            amount_minor=amount,
            redeemed_minor=min(redeemed, amount),
            store_id=store,
            occurred_at=_instant(at),
            time_zone=time_zone,
            tier=tier,
            earned_today=earned_today,
        )
    except UnknownZone as error:
        raise UsageWrong(
            str(error), where="--time-zone", remedy="Such as Europe/Berlin."
        ) from error
    loyalty_views.show_dry_run(Output(), earned, as_json=as_json)


@cards.command(
    "open",
    epilog=lesson(
        ("billfleet loyalty card open C-1 --tenant acme --programme club --customer 17", "one card")
    ),
)
def open_card(
    card: CardArgument,
    tenant: Tenant,
    programme: Annotated[str, typer.Option(help="The programme's id.")],
    customer: Annotated[str, typer.Option(help="The customer's id; created if it is new.")],
) -> None:
    """Open a card for a customer; one that exists is left as it is."""
    is_new = asyncio.run(_open_card(tenant, programme, customer, card))
    Output().say(f"{card} is open." if is_new else f"{card} was open already.")


@cards.command(
    "show", epilog=lesson(("billfleet loyalty card show C-1 --tenant acme", "its points"))
)
def show_card(card: CardArgument, tenant: Tenant, at: At = None, as_json: AsJson = False) -> None:
    """Show a card: balance, lots, next expiries, history."""
    seen = asyncio.run(_card(tenant, card, _instant(at)))
    loyalty_views.show_card(Output(), seen, as_json=as_json)


@group.command(
    "why",
    short_help="Explain a transaction.",
    epilog=lesson(("billfleet loyalty why T-1 --tenant acme", "in sentences")),
)
def why(
    transaction: Annotated[str, typer.Argument(metavar="TRANSACTION", help="Its id.")],
    tenant: Tenant,
    as_json: AsJson = False,
) -> None:
    """Explain a transaction: which rules gave what, which points moved, what cancelled it."""
    seen = asyncio.run(_transaction(tenant, transaction))
    loyalty_views.show_transaction(Output(), seen, as_json=as_json)


@group.command(
    "verify",
    short_help="Check every lot and card anew.",
    epilog=lesson(("billfleet loyalty verify", "1 when something is wrong")),
)
def verify(tenant: OneTenant = None, as_json: AsJson = False) -> None:
    """Check every lot and card anew against the movements; nothing is changed."""
    findings = asyncio.run(_verify(tenant))
    loyalty_views.show_findings(Output(), findings, tenant, as_json=as_json)
    if findings:
        raise typer.Exit(Exit.FAILED)


@group.command(
    "replay",
    short_help="Play a file's purchases, and compare every lot.",
    epilog=lesson(
        ("billfleet loyalty replay purchases.csv --tenant shop", "send, wait, compare every lot"),
        ("billfleet loyalty replay purchases.csv --tenant shop --cards 500", "a sample"),
        (
            "billfleet loyalty replay purchases.csv --tenant shop --times 2",
            "the second time past every dedupe but PostgreSQL's, and nothing changes",
        ),
    ),
)
def replay(
    file: Annotated[
        Path, typer.Argument(metavar="FILE.csv", help="customer_id, date, amount_usd.")
    ],
    tenant: Tenant,
    cards_max: Annotated[int | None, typer.Option("--cards", min=1, help="Only so many.")] = None,
    times: Annotated[int, typer.Option(min=1, max=100, help="So often, one after another.")] = 1,
    past_dedupe: Annotated[
        bool, typer.Option("--past-dedupe", help="New dedupe keys from the first time on.")
    ] = False,
    patience_s: Annotated[
        float, typer.Option("--patience", help="Seconds without progress until it gives up.")
    ] = 120.0,
    as_json: AsJson = False,
) -> None:
    """Play purchases through the queue and the worker, and compare every lot with the plan.

    Some purchases are returned and some cards redeem everything, by a seeded plan whose outcome is
    computed a second time on its own. A worker must be running (`billfleet up`). Use a tenant made
    for this. Running it again changes nothing, also after workers were killed: with --times all is
    sent again under new dedupe keys, and a digest of all books must stay the same.
    """
    # Imported here, because no other command of this group sends messages.
    from billfleet_ops.replaying import play

    replayed = asyncio.run(
        play(
            load_settings(),
            file,
            tenant,
            cards_max=cards_max,
            times=times,
            past_dedupe=past_dedupe,
            patience_s=patience_s,
        )
    )
    loyalty_views.show_replay(Output(), replayed, as_json=as_json)
    if not replayed.is_right:
        raise typer.Exit(Exit.FAILED)


async def _set_programme(said: ProgrammeFile, tenant: str) -> bool:
    new = loyalty.RulesVersion(said.version, said.valid_from, said.rules.model_dump(mode="json"))
    async with tenant_connection(tenant) as connection:
        await loyalty.programmes.ensure(
            connection,
            tenant,
            said.programme,
            brand_id=said.brand,
            name=said.name,
            store_ids=said.stores,
        )
        is_new = await loyalty.programmes.add_rules(
            connection, tenant, said.programme, new, work_id="loyalty programme set"
        )
        kept = await loyalty.programmes.rules_of(connection, tenant, said.programme, said.version)
        if kept != new:
            raise Refused(
                f"Version {said.version} of {said.programme} exists with other rules, "
                "or another version begins in that instant",
                where=f"tenant {tenant}",
                remedy="Raise `version` and `valid_from`: cards rest on the old one.",
            )
        await loyalty.programmes.set_warnings(connection, tenant, said.programme, said.warn_days)
        for one in said.rewards:
            reward = loyalty.Reward(reward_id=one.reward, **one.model_dump(exclude={"reward"}))
            await loyalty.programmes.set_reward(connection, tenant, said.programme, reward)
    return is_new


async def _open_card(tenant: str, programme: str, customer: str, card: str) -> bool:
    async with tenant_connection(tenant) as connection:
        if not await loyalty.programmes.exists(connection, tenant, programme):
            raise UsageWrong(
                f"There is no programme {programme!r}",
                where=f"tenant {tenant}",
                remedy="`billfleet loyalty programme set` creates one.",
            )
        if not await get_customers(connection, tenant, [customer]):
            await upsert_customers(connection, [Customer(tenant, customer, customer)])
        opened = await loyalty.cards.open_cards(connection, tenant, programme, {card: customer})
        return opened == 1


async def _card(tenant: str, card_id: str, at: datetime) -> CardSeen:
    async with tenant_connection(tenant, "REPEATABLE READ") as connection:
        seen = await read_card(connection, tenant, card_id, at)
        if seen is None:
            raise UsageWrong(
                f"There is no card {card_id!r}",
                where=f"tenant {tenant}",
                remedy="Check the id. `billfleet loyalty card open` opens one.",
            )
        return seen


async def _transaction(tenant: str, transaction_id: str) -> TransactionSeen:
    async with tenant_connection(tenant, "REPEATABLE READ") as connection:
        found = await loyalty.transactions.get(connection, tenant, transaction_id)
        if found is None:
            raise UsageWrong(
                f"There is no transaction {transaction_id!r}",
                where=f"tenant {tenant}",
                remedy="It may be on its way or in the dead-letter queue: `billfleet status`.",
            )
        return TransactionSeen(
            found,
            await loyalty.reading.movements_of(connection, tenant, transaction_id),
            await loyalty.reading.cancelled_by(connection, tenant, transaction_id),
        )


async def _verify(tenant: str | None) -> list[loyalty.LoyaltyFinding]:
    async with tenant_connection(tenant, "REPEATABLE READ", VERIFY_TIMEOUT_S) as connection:
        return await loyalty.audit.verify(connection, tenant)


def _instant(at: datetime | None) -> datetime:
    return datetime.now(UTC) if at is None else at.replace(tzinfo=UTC)
