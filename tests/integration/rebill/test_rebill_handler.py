"""The rebill worker on a real PostgreSQL: one message at a time."""

from datetime import date, timedelta

import pytest
from sqlalchemy import event as sql_event
from sqlalchemy.engine import Engine

from billfleet_contracts import (
    AccountRebilled,
    ChargeRef,
    CollectPayments,
    PaymentReported,
    decode,
    encode,
    wrap,
)
from billfleet_db import Database, accounts, bills, refusals
from billfleet_workers.handlers.outbox_rows import event_id
from billfleet_workers.handlers.rebill.plan import RebillLimits
from billfleet_workers.runtime.errors import Permanent
from rebill_world import (
    FEBRUARY,
    MARCH,
    NOW,
    TRACEPARENT,
    CountingMetrics,
    account,
    charges,
    execute,
    handle,
    handler,
    left,
    read,
    rebilling_dates,
    request,
    seed,
    work,
)

APRIL = date(2026, 4, 1)


async def test_a_due_account_is_charged_billed_moved_on_and_announced(database: Database) -> None:
    """R1, R4, R10."""
    await seed(database, account("a1", amount_minor=2985))
    envelope = request(("a1", MARCH))
    finished = await handler(database).handle(work(decode(encode(envelope))))
    assert finished.note == {"billed": 1}
    assert await rebilling_dates(database) == {"a1": APRIL}
    [transfer] = await read(
        database,
        "SELECT transfer_id, transfer_key, amount_minor, currency, work_id FROM billing.transfers",
    )
    assert transfer[1:] == ("charge:a1:2026-03-01", 2985, "USD", envelope.id)
    async with database.transaction() as connection:
        [bill] = await bills.of_account(connection, "acme", "a1")
    assert (bill.period_start, bill.period_end) == (MARCH, date(2026, 3, 31))
    assert (bill.state, bill.amount_minor, bill.charge_transfer_id) == ("open", 2985, transfer[0])
    assert bill.next_attempt_at == NOW + timedelta(hours=1)
    [rebilled] = await left(database, AccountRebilled)
    assert isinstance(rebilled.data, AccountRebilled)
    assert rebilled.data.transfer_id == transfer[0]
    assert rebilled.data.next_period_on == APRIL
    assert (rebilled.traceparent, rebilled.tenant) == (TRACEPARENT, "acme")
    assert rebilled.id == event_id("acme", "rebilled:a1:2026-03-01")
    [collect] = await left(database, CollectPayments)
    assert collect.data == CollectPayments(
        charges=(ChargeRef(account_id="a1", period_start=MARCH, attempt_no=1),)
    )
    routes = await read(
        database, "SELECT route_kind, route_name, group_id FROM fleet.outbox ORDER BY outbox_id"
    )
    assert routes[1] == ("queue", "collect", "acme")
    assert routes[0][:2] == ("topic", "events")


async def test_the_price_is_read_when_the_message_is_handled_and_never_again(
    database: Database,
) -> None:
    """R10: a change between sweep and processing counts, one after it does not."""
    await seed(database, account("a1", amount_minor=1000))
    message = work(request(("a1", MARCH)))
    await execute(database, "UPDATE billing.accounts SET amount_minor = 2000")
    await handler(database).handle(message)
    await execute(database, "UPDATE billing.accounts SET amount_minor = 3000")
    await handler(database).handle(message)
    assert await read(database, "SELECT amount_minor FROM billing.transfers") == [(2000,)]
    assert await read(database, "SELECT amount_minor FROM billing.bills") == [(2000,)]


async def test_a_message_delivered_again_changes_nothing(database: Database) -> None:
    """R8, R11."""
    await seed(database, account("a1"))
    message = work(request(("a1", MARCH)))
    notes = [(await handler(database).handle(message)).note for _ in range(3)]
    assert notes == [{"billed": 1}, {"skipped": 1}, {"skipped": 1}]
    assert await charges(database) == [("a1", MARCH)]
    assert len(await left(database, CollectPayments)) == 1


async def test_the_ledger_refuses_a_second_charge_even_when_the_date_was_set_back(
    database: Database,
) -> None:
    """R9: no second charge, bill or event, and the account moves on instead of being stuck."""
    await seed(database, account("a1"))
    await handle(database, ("a1", MARCH))
    await execute(database, "UPDATE billing.accounts SET rebilling_date = '2026-03-01'")
    finished = await handle(database, ("a1", MARCH))
    assert finished.note == {"already_billed": 1}
    assert await charges(database) == [("a1", MARCH)]
    assert await rebilling_dates(database) == {"a1": APRIL}
    assert len(await left(database, AccountRebilled)) == 1
    assert len(await left(database, CollectPayments)) == 1


async def test_a_free_period_is_in_the_ledger_paid_and_not_collected(database: Database) -> None:
    """R19."""
    await seed(database, account("free", amount_minor=0), account("paid"))
    await handle(database, ("free", MARCH), ("paid", MARCH))
    assert await charges(database) == [("free", MARCH), ("paid", MARCH)]
    assert (await rebilling_dates(database))["free"] == APRIL
    async with database.transaction() as connection:
        [bill] = await bills.of_account(connection, "acme", "free")
    assert (bill.state, bill.paid_at, bill.next_attempt_at) == ("paid", NOW, None)
    [collect] = await left(database, CollectPayments)
    assert isinstance(collect.data, CollectPayments)
    assert [charge.account_id for charge in collect.data.charges] == ["paid"]


async def test_missed_periods_are_billed_oldest_first_each_with_its_own_row(
    database: Database,
) -> None:
    """R7."""
    await seed(database, account("a1", date(2026, 1, 31), anchor_day=31))
    months = [date(2026, 1, 31), date(2026, 2, 28)]
    await handle(database, *(("a1", month) for month in reversed(months)))
    assert await charges(database) == [("a1", month) for month in months]
    rows = await read(database, "SELECT period_start FROM billing.transfers ORDER BY transfer_id")
    assert [row[0] for row in rows] == months
    assert await rebilling_dates(database) == {"a1": date(2026, 3, 31)}


async def test_one_charge_too_many_parks_the_account_until_it_is_unparked(
    database: Database,
) -> None:
    """R12: also when the charges of the day came with several messages."""
    await seed(database, account("a1", date(2026, 1, 1)))
    limits = RebillLimits(charges_per_day_max=2)
    metrics = CountingMetrics()
    worker = handler(database, limits=limits, metrics=metrics)
    await worker.handle(work(request(("a1", date(2026, 1, 1)), ("a1", FEBRUARY))))
    finished = await worker.handle(work(request(("a1", MARCH), work_id="third")))
    assert finished.note == {"parked": 1}
    assert metrics.counted["periods_refused", "too_many_charges"] == 1
    assert metrics.counted["accounts_rebilled", "acme"] == 2
    async with database.transaction() as connection:
        parked = await accounts.get(connection, "acme", "a1")
        [refusal] = await refusals.of_account(connection, "acme", "a1")
    assert parked is not None
    assert (parked.parked_at, parked.rebilling_date) == (NOW, MARCH)
    assert parked.parked_reason == "too_many_charges: 2 charges today"
    assert (refusal.period_start, refusal.work_id) == (MARCH, "third")
    assert refusal.reason == parked.parked_reason
    assert (await worker.handle(work(request(("a1", MARCH))))).note == {"skipped": 1}
    async with database.transaction() as connection:
        assert await accounts.unpark(connection, "acme", "a1", now=NOW)
        assert not await accounts.unpark(connection, "acme", "a1", now=NOW)
    tomorrow = handler(database, now=NOW + timedelta(hours=12), limits=limits)
    assert (await tomorrow.handle(work(request(("a1", MARCH))))).note == {"billed": 1}


async def test_what_cannot_be_billed_is_recorded_once_however_often_it_comes(
    database: Database,
) -> None:
    """R13, and why an account was not billed."""
    far = date(2026, 5, 1)
    await seed(database, account("parked"), account("gone"), account("far", far), account("well"))
    await execute(
        database,
        "UPDATE billing.accounts SET parked_at = now(), parked_reason = 'x' "
        "WHERE account_id = 'parked'",
    )
    await execute(
        database, "UPDATE billing.accounts SET state = 'INACTIVE' WHERE account_id = 'gone'"
    )
    names = ("parked", "gone", "nobody", "well")
    envelope = request(*((name, MARCH) for name in names), ("far", far), as_of=far)
    for _ in range(2):
        await handler(database).handle(work(envelope))
    rows = await read(database, "SELECT account_id, reason FROM billing.refusals ORDER BY 1")
    assert rows == [
        ("far", "beyond_horizon"),
        ("gone", "inactive"),
        ("nobody", "unknown_account"),
        ("parked", "parked"),
    ]
    assert await charges(database) == [("well", MARCH)]


async def test_a_sick_account_is_parked_and_its_neighbours_are_billed(
    database: Database, superuser_database: Database
) -> None:
    """R12: a zone that PostgreSQL takes and IANA does not have, a currency that is none."""
    await seed(
        database,
        account("a-well"),
        account("b-zone", time_zone="<+03>-03"),
        account("c-currency", currency="QQQ"),
        account("d-amount", amount_minor=2**62),
        account("e-well"),
    )
    names = ("a-well", "b-zone", "c-currency", "d-amount", "e-well")
    finished = await handle(database, *((name, MARCH) for name in names))
    assert finished.note == {"billed": 2, "parked": 3}
    assert await charges(database) == [("a-well", MARCH), ("e-well", MARCH)]
    rows = await read(
        database,
        "SELECT account_id, split_part(parked_reason, ':', 1) FROM billing.accounts "
        "WHERE parked_at IS NOT NULL ORDER BY 1",
    )
    assert rows == [
        ("b-zone", "unknown_time_zone"),
        ("c-currency", "unknown_currency"),
        ("d-amount", "amount_too_large"),
    ]


async def test_an_account_that_a_constraint_refuses_is_parked_and_its_neighbours_are_billed(
    database: Database, superuser_database: Database
) -> None:
    """R12: the whole set is refused, so each account gets a savepoint of its own."""
    await execute(
        superuser_database,
        "ALTER TABLE billing.bills ADD CONSTRAINT ck_house CHECK (account_id <> 'b' OR "
        "period_start < '2026-03-01')",
    )
    await seed(database, account("a"), account("b", FEBRUARY), account("c"))
    metrics = CountingMetrics()
    periods = (("a", MARCH), ("b", FEBRUARY), ("b", MARCH), ("c", MARCH), ("x", MARCH))
    finished = await handler(database, metrics=metrics).handle(work(request(*periods)))
    assert finished.note == {"billed": 2, "parked": 2, "skipped": 1}
    assert await charges(database) == [("a", MARCH), ("c", MARCH)]
    assert metrics.counted["periods_refused", "refused_by_database"] == 2
    rows = await read(
        database, "SELECT parked_reason, rebilling_date FROM billing.accounts WHERE account_id='b'"
    )
    assert rows == [("refused_by_database: ck_house", FEBRUARY)]
    collected = [envelope.data for envelope in await left(database, CollectPayments)]
    assert [len(data.charges) for data in collected if isinstance(data, CollectPayments)] == [1, 1]


async def test_an_account_of_another_tenant_is_not_billed(database: Database) -> None:
    await seed(database, account("a1"), tenant="acme")
    await seed(database, account("b1"), tenant="other")
    assert (await handle(database, ("a1", MARCH), tenant="other")).note == {"skipped": 1}
    assert (await handle(database, ("a1", MARCH), tenant="nobody")).note == {"skipped": 1}
    assert await charges(database, "acme") == []


async def test_an_event_of_another_worker_is_poison(database: Database) -> None:
    event = PaymentReported(
        gateway="log",
        gateway_event_id="e1",
        attempt_key="k",
        result="succeeded",
        occurred_at=NOW,
    )
    with pytest.raises(Permanent, match="payment_reported"):
        await handler(database).handle(work(wrap(event, tenant="acme", source="/t", now=NOW)))


async def test_the_number_of_statements_does_not_grow_with_the_accounts(
    database: Database,
) -> None:
    names = [f"a{number:03d}" for number in range(100)]
    await seed(database, *(account(name, FEBRUARY) for name in names))
    await handle(database, *((name, FEBRUARY) for name in names))
    statements: list[str] = []

    def note(_: object, __: object, statement: str, *rest: object) -> None:
        statements.append(statement)

    sql_event.listen(Engine, "before_cursor_execute", note)
    try:
        await handle(database, *((name, MARCH) for name in names))
    finally:
        sql_event.remove(Engine, "before_cursor_execute", note)
    assert len(statements) <= 8
    assert len(await charges(database)) == 200


async def test_a_date_that_no_calendar_of_ours_holds_is_refused_at_the_door(
    database: Database,
) -> None:
    await seed(database, account("a1"))
    for day in ("infinity", "-infinity", "0044-03-15 BC"):
        with pytest.raises(Exception, match="ck_accounts_rebilling_date"):
            await execute(
                database, f"UPDATE billing.accounts SET rebilling_date = '{day}'::text::date"
            )
