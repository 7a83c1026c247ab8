"""Reports: made once, the same for ever, told to their readers, on pages that load nothing."""

import csv
import io
import json
import re
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import text

from analytics_world import START, World
from billfleet_contracts import ReportReady, ReportRequested, decode, wrap
from billfleet_db import Database, analytics, files
from billfleet_db.tenants import Tenant, ensure_tenant
from billfleet_producers import RecordingProducer
from billfleet_workers.adapters.memory_objects import MemoryObjectStore
from billfleet_workers.handlers.reports import ReportMaker, ReportsHandler, sweep_reports
from billfleet_workers.runtime.errors import Permanent, Unavailable
from billing_books import Books

APRIL = datetime(2026, 4, 2, 12, tzinfo=UTC)
MARCH = ReportRequested(period="month", first_day=date(2026, 3, 1))


class Office:
    """Where reports of the world are made."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.objects = MemoryObjectStore(world.clock)
        self.maker = ReportMaker(world.database, self.objects, world.clock, world.metrics)
        self.handler = ReportsHandler(self.maker)

    async def ask(self, asked: ReportRequested = MARCH, tenant: str = "acme") -> str:
        envelope = wrap(asked, tenant=tenant, source="/test", now=self.world.clock.now())
        finished = await self.handler.handle(self.world.delivery(envelope))
        (word,) = finished.note
        return word

    async def bodies(self, asked: ReportRequested) -> dict[str, bytes]:
        """The report's files, made anew."""
        return (await self.maker.make("acme", asked)).bodies

    async def told(self) -> list[ReportReady]:
        async with self.world.database.transaction() as connection:
            rows = await connection.execute(text("SELECT body FROM fleet.outbox"))
            events = [decode(row.body).data for row in rows]
        return [event for event in events if isinstance(event, ReportReady)]


@pytest.fixture
def office(world: World) -> Office:
    return Office(world)


async def _busy_march(world: World, superuser: Database) -> None:
    books = Books(superuser)
    at = datetime(2026, 3, 1, 9, tzinfo=UTC)
    for number in range(4):
        await books.charge(f"a-{number}", date(2026, 3, 1), date(2026, 3, 31), 2990, at)
        await books.pay(f"a-{number}", date(2026, 3, 1), 2990, at + timedelta(days=number))
    await world.send(
        *(
            world.event(
                START + timedelta(hours=n), customer_id=f"c-{n % 11}", store_id=f"s-{n % 2}"
            )
            for n in range(40)
        )
    )
    await world.send(world.event(START, customer_id="lonely", store_id="s-9"))


async def test_a_report_is_a_page_a_table_and_a_document_with_rows_and_news(
    world: World, office: Office, superuser_database: Database
) -> None:
    world.clock.set(APRIL)
    await _busy_march(world, superuser_database)
    world.clock.set(APRIL + timedelta(minutes=5))
    async with world.database.transaction() as connection:
        await analytics.see_tenant(connection, "acme")
        await analytics.reports.add_reader(connection, "acme", "owner", "month")
        await analytics.reports.add_reader(connection, "acme", "clerk", "day")
    assert await office.ask() == "made"

    (told,) = await office.told()
    assert (told.contact_id, told.title) == ("owner", "Acme: March 2026")
    async with world.database.transaction() as connection:
        await analytics.see_tenant(connection, "acme")
        made = await analytics.reports.get(connection, "acme", told.report_id)
        assert made is not None
        found = {
            form: await files.find(connection, "acme", UUID(file_id))
            for form, file_id in made.files.items()
        }
    assert set(found) == {"html", "csv", "json"}
    assert str(made.files["html"]) == told.file_id
    for form, file in found.items():
        assert file is not None
        stored = office.objects.objects[file.object_key]
        assert file.object_key.startswith("reports/acme/2026/03/")
        assert file.file_name == f"Acme_ March 2026.{form}"
        assert len(stored.body) == file.bytes_count

    said = json.loads(office.objects.objects[str(found["json"] and found["json"].object_key)].body)
    assert said["currencies"][0]["revenue_minor"] == 4 * 2990
    assert said["activities"][0]["customers"] == 12
    body = office.objects.objects[str(found["csv"] and found["csv"].object_key)].body.decode()
    lines = list(csv.DictReader(io.StringIO(body)))
    assert {line["section"] for line in lines} >= {"money", "recurring", "collection", "activity"}


async def test_sales_are_told_day_by_day_and_stores_by_name_and_brand(
    world: World, office: Office, superuser_database: Database
) -> None:
    """R74: as known at the report's instant; of the days before, only the sum."""
    async with superuser_database.transaction() as connection:
        for statement in (
            "INSERT INTO business.brands VALUES ('acme', 'north', 'Nordlicht')",
            "INSERT INTO business.stores VALUES ('acme', 's-1', 'north', 'Harbour')",
        ):
            await connection.execute(text(statement))
    last_month = START - timedelta(days=3)
    await world.send(world.event(last_month, amount_minor=500))
    for day in (0, 0, 4):
        at = START + timedelta(days=day)
        world.clock.set(at)
        await world.send(
            *(world.event(at, customer_id=f"c-{n}", store_id="s-1") for n in range(5)),
            *(world.event(at, customer_id=f"c-{n}", store_id="pop-up") for n in range(5)),
        )
    world.clock.set(APRIL)
    bodies = await office.bodies(MARCH.model_copy(update={"as_of": APRIL}))
    await world.send(world.event(START, amount_minor=99))

    (sales,) = json.loads(bodies["json"])["sales"]
    assert (sales["purchases"], sales["amount_minor"]) == (30, 30_000)
    assert sales["previous_amount_minor"] == 500
    sold = {day["day"]: (day["purchases"], day["amount_minor"]) for day in sales["days"]}
    assert len(sold) == 31
    assert {day: one for day, one in sold.items() if one[0]} == {
        "2026-03-01": (20, 20_000),
        "2026-03-05": (10, 10_000),
    }
    lines = list(csv.DictReader(io.StringIO(bodies["csv"].decode())))
    of_days = [int(line["value"]) for line in lines if line["section"] == "sales" and line["day"]]
    assert sum(of_days) == 30_000
    stores = json.loads(bodies["json"])["customers"]["stores"]
    assert [(one["store"], one["brand"]) for one in stores] == [
        ("pop-up", ""),
        ("Harbour", "Nordlicht"),
    ]
    page = bodies["html"].decode()
    assert "300.00 EUR" in page
    assert "+5900.0 % on February 2026" in page
    assert "Harbour<small>Nordlicht</small>" in page
    again = MARCH.model_copy(update={"as_of": APRIL, "request_no": 1})
    assert await office.bodies(again) == bodies


async def test_the_page_loads_nothing_runs_nothing_and_escapes_what_customers_typed(
    world: World, office: Office, superuser_database: Database
) -> None:
    async with world.database.transaction() as connection:
        await ensure_tenant(connection, Tenant("evil", "<script>alert(1)</script>", "EUR"))
    page = (await office.maker.make("evil", MARCH.model_copy(update={"as_of": START}))).bodies[
        "html"
    ]
    await _busy_march(world, superuser_database)
    world.clock.set(APRIL)
    page += (await office.bodies(MARCH))["html"]
    assert b"<script" not in page
    assert b"&lt;script&gt;alert(1)" in page
    assert not re.search(rb"(?:src|href)=|url\(|@import", page)
    titles = re.findall(rb"<title>([^<]*)", page)
    assert b"1 Mar: 119.60 EUR" in titles
    assert all(title.startswith(b"&lt;") or b": " in title for title in titles), titles


async def test_the_same_report_of_the_same_instant_is_the_same_bytes_for_ever(
    world: World, office: Office, superuser_database: Database
) -> None:
    """R74: late events, late payments and a year in between change nothing of it."""
    await _busy_march(world, superuser_database)
    world.clock.set(APRIL)
    first = await office.bodies(MARCH.model_copy(update={"as_of": APRIL, "request_no": 1}))
    books = Books(superuser_database)
    await books.charge("late", date(2026, 3, 1), date(2026, 3, 31), 500, APRIL)
    await world.send(*(world.event(START, customer_id=f"late-{n}") for n in range(30)))
    world.clock.set(APRIL + timedelta(days=365))
    again = await office.bodies(MARCH.model_copy(update={"as_of": APRIL, "request_no": 2}))
    assert again == first
    now = await office.bodies(MARCH.model_copy(update={"request_no": 3}))
    assert now != first


async def test_asking_again_makes_nothing_and_tells_nobody_twice(
    world: World, office: Office
) -> None:
    async with world.database.transaction() as connection:
        await analytics.see_tenant(connection, "acme")
        await analytics.reports.add_reader(connection, "acme", "owner", "month")
    assert [await office.ask(), await office.ask()] == ["made", "already_done"]
    assert len(await office.told()) == 1


async def test_a_maker_that_died_is_followed_by_one_that_writes_the_same_files(
    world: World, office: Office
) -> None:
    office.objects.faults.lose_answers("put")
    with pytest.raises(Unavailable):
        await office.ask()
    assert await office.told() == []
    assert await office.ask() == "made"
    assert len(office.objects.objects) == 3


async def test_a_report_of_the_future_or_of_nobody_is_refused(world: World, office: Office) -> None:
    with pytest.raises(Permanent, match="future"):
        await office.ask(MARCH.model_copy(update={"as_of": START + timedelta(days=1)}))
    with pytest.raises(Permanent, match="no tenant nobody"):
        await office.ask(tenant="nobody")


async def test_small_groups_are_hidden_from_the_page_the_table_and_the_document(
    world: World, office: Office
) -> None:
    """R78: one customer's store is not shown, and can't be had by subtraction either."""
    await world.set_policy(group_min=3)
    sales = {"big": 9, "harbour": 4, "tiny": 1}
    await world.send(
        *(
            world.event(customer_id=f"{store}-{n}", store_id=store, amount_minor=777)
            for store, customers in sales.items()
            for n in range(customers)
        )
    )
    world.clock.set(APRIL)
    bodies = await office.bodies(MARCH)
    assert [store["store_id"] for store in json.loads(bodies["json"])["customers"]["stores"]] == [
        "big"
    ]
    for body in bodies.values():
        assert b"tiny" not in body
        assert b"harbour" not in body


async def test_the_sweep_asks_for_what_is_over_on_each_tenants_clock_and_was_not_made(
    world: World, office: Office
) -> None:
    """R75: where it is still March, March is not over."""
    await world.seed("samoa", time_zone="Pacific/Pago_Pago")
    world.clock.set(datetime(2026, 4, 1, 3, tzinfo=UTC))
    producer = RecordingProducer()

    async def asked() -> dict[str, list[str]]:
        before = len(producer.sent)
        async with producer:
            report = await sweep_reports(
                world.database, producer, world.clock, periods=("month", "day")
            )
        assert report.failed == 0
        found: dict[str, list[str]] = {}
        for sent in producer.sent[before:]:
            event = decode(sent.body).data
            assert isinstance(event, ReportRequested)
            found.setdefault(decode(sent.body).tenant, []).append(
                f"{event.period} {event.first_day}"
            )
        return found

    assert await asked() == {
        "acme": ["month 2026-03-01", "day 2026-03-31"],
        "samoa": ["month 2026-02-01", "day 2026-03-30"],
    }
    await office.ask()
    assert await asked() == {
        "acme": ["day 2026-03-31"],
        "samoa": ["month 2026-02-01", "day 2026-03-30"],
    }
