"""The second act of `billfleet demo`: mails, points, events and an export, all asked for twice.

It enqueues through the producer library, as a front end would, and counts what came of it.
`demo_story` plays it on the fleet that is running.
"""

import asyncio
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic

from billfleet_contracts import (
    AddPoints,
    DueBillsRequested,
    Earning,
    Event,
    EventTracked,
    ExportRequested,
    ProgrammeRules,
)
from billfleet_db import Database, analytics, loyalty
from billfleet_db.achievements import Achievements, achievements
from billfleet_ops.demo_accounts import TENANTS, accounts_of
from billfleet_producers import Producer
from billfleet_workers.settings import Settings

TENANT = TENANTS[0]
MAILED = 20
CARDS = 25
PURCHASES_PER_CARD = 4
EVENTS = 200
SOURCE = "demo"
PROGRAMME = "north-points"
LOOK_EVERY_S = 0.2
GIVEN_UP_AFTER_S = 60.0
_NAMES = uuid.UUID("6f1d6a51-0f39-4d5c-8e0b-5f0a1c9b7d10")


@dataclass(frozen=True, slots=True)
class Achieved:
    """One kind of work: how many messages asked for it, what was expected, and what was done."""

    what: str
    messages: int
    expected: int
    done: int

    @property
    def is_right(self) -> bool:
        """Done once each, though it was asked for twice."""
        return self.expected == self.done


async def play_encore(settings: Settings, database: Database) -> list[Achieved]:
    """Ask for everything twice and wait until it is done, or clearly will not be."""
    await _set_up(database)
    now = datetime.now(UTC)
    asked = _due_bills() + _purchases(now) + _tracked(now) + _export()
    async with Producer(stack=settings.stack, source="/demo", region=settings.aws_region) as sender:
        twice = [(event, TENANT.tenant) for event in asked] * 2
        (await sender.send_batch(twice)).raise_for_failures()
    return await _watch(database)


async def _set_up(database: Database) -> None:
    """A programme and its cards."""
    async with database.transaction() as connection:
        await loyalty.see_tenant(connection, TENANT.tenant)
        await loyalty.programmes.ensure(
            connection, TENANT.tenant, PROGRAMME, brand_id="north", name="North points"
        )
        rules = ProgrammeRules(
            earning=Earning(points=1, per_minor=100, currency=TENANT.currency)
        ).model_dump(mode="json")
        version = loyalty.RulesVersion(1, datetime(2020, 1, 1, tzinfo=UTC), rules)
        await loyalty.programmes.add_rules(
            connection, TENANT.tenant, PROGRAMME, version, work_id="demo"
        )
        holders = {f"card-{one}": one for one in _card_holders()}
        await loyalty.cards.open_cards(connection, TENANT.tenant, PROGRAMME, holders)


def _card_holders() -> list[str]:
    return [account.account_id for account in accounts_of(TENANT)[:CARDS]]


def _due_bills() -> list[Event]:
    return [
        DueBillsRequested(account_id=account.account_id, request_id=f"demo-{account.account_id}")
        for account in accounts_of(TENANT)[:MAILED]
    ]


def _purchases(now: datetime) -> list[Event]:
    return [
        AddPoints(
            card_id=f"card-{holder}",
            transaction_id=f"till-{holder}-{number}",
            occurred_at=now,
            amount_minor=1000 * (number + 1),
            currency=TENANT.currency,
        )
        for holder in _card_holders()
        for number in range(PURCHASES_PER_CARD)
    ]


def _tracked(now: datetime) -> list[Event]:
    return [
        EventTracked(name="store.visited", event_id=f"visit-{n}", source=SOURCE, occurred_at=now)
        for n in range(EVENTS)
    ]


def _export() -> list[Event]:
    name = str(uuid.uuid5(_NAMES, TENANT.tenant))
    return [ExportRequested(export_id=name, dataset="ledger", format="csv")]


async def _watch(database: Database) -> list[Achieved]:
    give_up_s = monotonic() + GIVEN_UP_AFTER_S
    while True:
        async with database.transaction() as connection:
            await loyalty.see_tenant(connection, TENANT.tenant)
            await analytics.see_tenant(connection, TENANT.tenant)
            now = _held_against(await achievements(connection, TENANT.tenant, SOURCE))
        if all(one.is_right for one in now) or monotonic() > give_up_s:
            return now
        await asyncio.sleep(LOOK_EVERY_S)


def _held_against(done: Achievements) -> list[Achieved]:
    points = CARDS * sum(10 * (number + 1) for number in range(PURCHASES_PER_CARD))
    purchases = CARDS * PURCHASES_PER_CARD
    return [
        Achieved("mails of due bills sent", 2 * MAILED, MAILED, done.mails_sent),
        Achieved("loyalty points issued", 2 * purchases, points, done.points_issued),
        Achieved("events counted", 2 * EVENTS, EVENTS, done.events_counted),
        Achieved("ledger rows exported", 2, done.rows_of_ledger, done.rows_exported),
    ]


def all_right(achieved: Sequence[Achieved]) -> bool:
    """Whether every kind of work was done once each."""
    return all(one.is_right for one in achieved)
