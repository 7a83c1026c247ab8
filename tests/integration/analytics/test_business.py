"""Business figures against books of which every row is known."""

from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import text

from analytics_world import World
from billfleet_db import Database, analytics
from billfleet_db.analytics.business import Span
from billing_books import Books

LATER = datetime(2026, 6, 1, tzinfo=UTC)


def march(as_of: datetime = LATER, time_zone: str = "UTC") -> Span:
    return Span(
        tenant_id="acme",
        time_zone=time_zone,
        first_day=date(2026, 3, 1),
        last_day=date(2026, 3, 31),
        starts_at=datetime(2026, 3, 1, tzinfo=UTC),
        ends_at=datetime(2026, 4, 1, tzinfo=UTC),
        as_of=as_of,
    )


def at(month: int, day: int, hour: int = 9) -> datetime:
    return datetime(2026, month, day, hour, tzinfo=UTC)


def month(number: int, year: int = 2026) -> tuple[date, date]:
    following = date(year + number // 12, number % 12 + 1, 1)
    return date(year, number, 1), following - timedelta(days=1)


@pytest.fixture
def books(world: World, superuser_database: Database) -> Books:
    return Books(superuser_database)


async def test_revenue_is_what_was_billed_less_what_was_taken_back_by_the_tenants_day(
    world: World, books: Books
) -> None:
    charge = await books.charge("a", *month(3), 1000, at(3, 1))
    await books.charge("b", *month(3), 700, datetime(2026, 3, 1, 23, 30, tzinfo=UTC))
    await books.pay("a", month(3)[0], 1000, at(3, 2))
    await books.reverse(charge, at(3, 5))
    async with world.database.transaction() as connection:
        found = await analytics.business.money_by_day(connection, march(time_zone="Europe/Berlin"))
    assert [(one.day.day, one.revenue_minor, one.collected_minor) for one in found] == [
        (1, 1000, 0),
        (2, 700, 1000),
        (5, -1000, 0),
    ]


async def test_recurring_revenue_moves_by_five_ways_that_add_up(world: World, books: Books) -> None:
    """MRR at the end is MRR on the eve, plus what came, less what went."""
    for account, february, in_march in (
        ("stays", 1000, 1000),
        ("grows", 1000, 1500),
        ("shrinks", 1000, 400),
        ("leaves", 900, None),
        ("joins", None, 800),
    ):
        if february:
            await books.charge(account, *month(2), february, at(2, 1))
        if in_march:
            await books.charge(account, *month(3), in_march, at(3, 1))
    await books.charge("returns", *month(1), 300, at(1, 1))
    await books.charge("returns", *month(3), 300, at(3, 1))
    await books.charge("yearly", date(2026, 1, 1), date(2026, 12, 31), 12_000, at(1, 1))
    undone = await books.charge("never-was", *month(3), 5000, at(3, 1))
    await books.reverse(undone, at(3, 2))
    async with world.database.transaction() as connection:
        (found,) = await analytics.business.movements(connection, march())
    assert found.before_minor == 1000 + 1000 + 1000 + 900 + 1000
    assert found.new_minor == 800
    assert found.expansion_minor == 500
    assert found.contraction_minor == 600
    assert found.churn_minor == 900
    assert found.reactivation_minor == 300
    assert found.after_minor == 1000 + 1500 + 400 + 800 + 300 + 1000
    assert found.accounts == 6
    came = found.new_minor + found.expansion_minor + found.reactivation_minor
    went = found.contraction_minor + found.churn_minor
    assert found.before_minor + came - went == found.after_minor


async def test_collection_counts_what_was_paid_and_dunning_what_it_brought_back(
    world: World, books: Books
) -> None:
    for account in ("prompt", "late", "never"):
        await books.charge(account, *month(3), 1000, at(3, 1))
    await books.pay("prompt", month(3)[0], 1000, at(3, 1, 10))
    await books.decline("late", month(3)[0], at(3, 1, 10))
    await books.decline("never", month(3)[0], at(3, 1, 10))
    paid = await books.pay("late", month(3)[0], 1000, at(3, 8))
    async with world.database.transaction() as connection:
        (after,) = await analytics.business.collection(connection, march())
        (before,) = await analytics.business.collection(connection, march(as_of=at(3, 5)))
    assert (after.bills, after.charged_minor, after.paid_minor) == (3, 3000, 2000)
    assert (after.declined_bills, after.recovered_bills, after.recovered_minor) == (2, 1, 1000)
    assert (before.paid_minor, before.recovered_bills) == (1000, 0)
    await books.reverse(paid, at(4, 20))
    async with world.database.transaction() as connection:
        (corrected,) = await analytics.business.collection(connection, march())
        (old,) = await analytics.business.collection(connection, march(as_of=at(4, 1)))
    assert (corrected.paid_minor, corrected.recovered_bills) == (1000, 0)
    assert (old.paid_minor, old.recovered_bills) == (2000, 1)


async def test_points_are_owed_until_they_are_spent_or_expire(
    world: World, superuser_database: Database
) -> None:
    statements = """
        INSERT INTO customer.customers (tenant_id, customer_id, name) VALUES ('acme', 'c', 'Ada');
        INSERT INTO business.brands VALUES ('acme', 'north', 'North');
        INSERT INTO loyalty.programmes VALUES ('acme', 'club', 'north', 'Club');
        INSERT INTO loyalty.cards (tenant_id, card_id, programme_id, customer_id)
          VALUES ('acme', 'card', 'club', 'c');
        INSERT INTO loyalty.transactions (tenant_id, transaction_id, card_id, programme_id, kind,
          state, request_hash, work_id, occurred_at, recorded_at)
          VALUES ('acme', 't', 'card', 'club', 'points', 'done', 'h', 'w', now(), now());
        INSERT INTO loyalty.lots (tenant_id, lot_id, card_id, priority, issued, remaining,
          issued_at, available_at) VALUES ('acme', 't', 'card', 1, 100, 100, now(), now())"""
    moves = (
        ("issue", 100, at(2, 10)),
        ("spend", 30, at(3, 2)),
        ("return", 10, at(3, 3)),
        ("expire", 5, at(3, 20)),
        ("debt", 99, at(3, 21)),
        ("reverse", 15, at(4, 2)),
    )
    async with superuser_database.transaction() as connection:
        for statement in statements.split(";"):
            await connection.execute(text(statement))
        for kind, quantity, moved_at in moves:
            await connection.execute(
                text(
                    """INSERT INTO loyalty.movements (tenant_id, card_id, transaction_id, lot_id,
                         kind, quantity, moved_at)
                       VALUES ('acme', 'card', 't', 't', :kind, :quantity, :moved_at)"""
                ),
                {"kind": kind, "quantity": quantity, "moved_at": moved_at},
            )
    async with world.database.transaction() as connection:
        await analytics.see_tenant(connection, "acme")
        (found,) = await analytics.business.points(connection, march())
    assert (found.issued, found.spent, found.expired, found.outstanding) == (0, 20, 5, 75)
