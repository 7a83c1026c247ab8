"""Real input: a file of 7,043 customers, three months of sweeps, one month missed."""

import random
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

import telco
from billfleet_contracts import AccountRebilled
from billfleet_db import Database, ledger
from billfleet_db.verify import verify
from billfleet_ops.csv_import import ImportReport, ImportRequest, import_accounts
from billfleet_producers import RecordingProducer
from billfleet_workers.handlers.rebill import sweep_rebill
from billfleet_workers.runtime.clock import ManualClock
from rebill_world import LIMITS, handler, read, rebilling_dates, work

TENANT = "telco"
JANUARY, FEBRUARY, MARCH = date(2026, 1, 31), date(2026, 2, 28), date(2026, 3, 31)
ZONES = (
    "Pacific/Kiritimati",
    "Asia/Kolkata",
    "UTC",
    "Europe/London",
    "America/New_York",
    "Pacific/Pago_Pago",
)
Charge = tuple[str, date, int]


class Year:
    """The imported customers, and the sweeps over them."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.database = database
        self.folder = folder
        self.path = telco.provide(folder)
        self.zones: dict[str, str] = {}
        self._chance = random.Random(31)

    async def bring_in(self, path: Path, *, updates: bool = False, **set_: str) -> ImportReport:
        constants = {"currency": "USD", "rebilling_date": "2026-01-31", **set_}
        request = ImportRequest(
            path=path,
            tenant=TENANT,
            mapping=telco.MAPPING,
            constants=constants,
            updates=updates,
        )
        return await import_accounts(self.database, request)

    async def spread_over_zones(self) -> None:
        """Give every sixth customer the same zone, by importing them again with it."""
        for number, zone in enumerate(ZONES):
            part = self.folder / f"part-{number}.csv"
            members = telco.write_part(self.path, part, of=len(ZONES), number=number)
            report = await self.bring_in(part, updates=True, time_zone=zone)
            assert report.is_committed
            self.zones.update(dict.fromkeys(members, zone))

    async def sweep(self, now: datetime) -> None:
        """Sweep, and deliver each message one to three times in any order."""
        async with RecordingProducer() as producer:
            await sweep_rebill(self.database, producer, ManualClock(now), limits=LIMITS)
            envelopes = producer.envelopes
        deliveries = [e for e in envelopes for _ in range(self._chance.randint(1, 3))]
        self._chance.shuffle(deliveries)
        worker = handler(self.database, now=now)
        for envelope in deliveries:
            await worker.handle(work(envelope))

    async def charged(self) -> Counter[Charge]:
        rows = await read(
            self.database,
            "SELECT account_id, period_start, amount_minor FROM billing.transfers"
            " WHERE tenant_id = :tenant AND kind = 'charge' AND currency = 'USD'",
            tenant=TENANT,
        )
        return Counter(rows)  # type: ignore[arg-type]  # the three columns are these types

    def begun(self, period: date, now: datetime) -> set[str]:
        """The customers in whose zone the period's first day has begun."""
        return {
            name for name, z in self.zones.items() if now.astimezone(ZoneInfo(z)).date() >= period
        }


def around(period: date) -> Iterator[datetime]:
    """Every twelve hours, from before the first zone's midnight until after the last one's."""
    start = datetime(period.year, period.month, period.day, tzinfo=UTC) - timedelta(hours=12)
    yield from (start + timedelta(hours=12 * step) for step in range(5))


@pytest.fixture
def year(database: Database, tmp_path: Path) -> Year:
    return Year(database, tmp_path)


@pytest.mark.timeout(300)
async def test_three_months_with_one_missed_bill_every_period_exactly_once(year: Year) -> None:
    """R1, R5, R6, R7, R8, R9: from the file to a ledger that says the same to the cent."""
    expected = telco.Expectation.of(year.path)
    report = await year.bring_in(year.path)
    assert report.taken_over.inserted == telco.ROWS
    await year.spread_over_zones()

    for now in around(JANUARY):
        await year.sweep(now)
        due = year.begun(JANUARY, now)
        assert {name for name, _, _ in await year.charged()} == due
    assert await year.charged() == expected.charges([JANUARY])

    # Nothing runs in February. The sweeps of March find two periods to bill.
    for now in around(MARCH):
        await year.sweep(now)
    charged = await year.charged()
    assert charged == expected.charges([JANUARY, FEBRUARY, MARCH])

    total = 3 * sum(expected.cents.values())
    async with year.database.transaction("REPEATABLE READ") as connection:
        sides = {row.kind: row for row in await ledger.trial_balance(connection, TENANT)}
        findings = await verify(connection, TENANT)
    assert sides["receivable"].debit_minor == sides["revenue"].credit_minor == total
    assert findings == []
    assert set((await rebilling_dates(year.database, TENANT)).values()) == {date(2026, 4, 30)}
    [(events, told)] = await read(
        year.database,
        "SELECT count(*), count(DISTINCT dedupe_key) FROM fleet.outbox WHERE event_type = :type",
        type=AccountRebilled.TYPE,
    )
    assert events == told == 3 * telco.ROWS


async def test_the_contract_is_a_commitment_and_every_bill_is_monthly(year: Year) -> None:
    expected = telco.Expectation.of(year.path)
    await year.bring_in(year.path)
    rows = await read(
        year.database,
        "SELECT commitment_months, interval_months, anchor_day, count(*)"
        " FROM billing.accounts GROUP BY 1, 2, 3",
    )
    assert {(interval, anchor) for _, interval, anchor, _ in rows} == {(1, 31)}
    assert Counter({months: count for months, _, _, count in rows}) == expected.commitments


async def test_importing_the_file_again_changes_nothing_before_and_after_billing(
    year: Year,
) -> None:
    await year.bring_in(year.path)
    again = await year.bring_in(year.path)
    assert (again.taken_over.inserted, again.taken_over.unchanged) == (0, telco.ROWS)
    await year.sweep(datetime(2026, 1, 31, 12, tzinfo=UTC))
    after = await year.bring_in(year.path)
    assert (after.taken_over.unchanged, after.taken_over.kept) == (telco.ROWS, telco.ROWS)
    assert set((await rebilling_dates(year.database, TENANT)).values()) == {date(2026, 2, 28)}
