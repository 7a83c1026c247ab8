"""Customer insights: equal to an independent computation over real purchases."""

from collections import Counter
from datetime import date, timedelta
from pathlib import Path

import duckdb

import cdnow
from analytics_world import START, World
from billfleet_db import Database, analytics
from billfleet_db.analytics.customers import Purchases
from billfleet_workers.handlers.reports.figures import cohorts_of

PURCHASES = Purchases(
    tenant_id=cdnow.TENANT,
    name="purchase",
    currency="USD",
    first_day=date(1997, 1, 1),
    last_day=cdnow.LAST_DAY,
    as_of=START + timedelta(minutes=1),
)


def _computed(path: Path, query: str) -> list[tuple[object, ...]]:
    """The same from the file itself, by other means."""
    connection = duckdb.connect()
    connection.execute(
        f"""CREATE VIEW rows AS SELECT customer_id, date AS day,
              CAST(round(amount_usd * 100) AS bigint) AS cents
            FROM read_csv('{path}', types = {{'customer_id': 'VARCHAR', 'date': 'DATE',
                                             'amount_usd': 'DECIMAL(12,2)'}})"""
    )
    connection.execute(
        f"""CREATE VIEW people AS
            WITH sums AS (SELECT customer_id, min(day) AS first, max(day) AS last,
                                 count(DISTINCT day) AS days, sum(cents) AS cents
                          FROM rows GROUP BY ALL)
            SELECT a.*, DATE '{cdnow.LAST_DAY}' - a.last AS since,
              1 + floor(5 * (SELECT count(*) FROM sums b WHERE b.last < a.last)
                        / (SELECT count(*) FROM sums)) AS r
            FROM sums a"""
    )
    return connection.execute(query).fetchall()


async def _check_scores(world: World, path: Path) -> None:
    async with world.database.transaction() as connection:
        await analytics.see_tenant(connection, cdnow.TENANT)
        scores = await analytics.customers.scores(connection, PURCHASES)
        segments = await analytics.customers.segments(connection, PURCHASES)
    people = _computed(
        path,
        """SELECT customer_id, max(day), count(DISTINCT day), sum(cents) FROM rows GROUP BY ALL""",
    )

    def fifths(column: int) -> dict[object, int]:
        behind = 0
        found: dict[object, int] = {}
        counts = Counter(person[column] for person in people)
        for value in sorted(counts):  # type: ignore[type-var] # days or numbers
            found[value] = 1 + 5 * behind // len(people)
            behind += counts[value]
        return found

    by_column = [fifths(column) for column in (1, 2, 3)]
    expected = Counter(
        tuple(scored[person[column]] for column, scored in enumerate(by_column, 1))
        for person in people
    )
    assert scores == expected
    assert sum(one.customers for one in segments) == len(people)
    champions = [p for p in people if by_column[0][p[1]] >= 4 and by_column[1][p[2]] >= 4]
    (found,) = [one for one in segments if one.segment == "champions"]
    assert (found.customers, found.amount_minor) == (
        len(champions),
        sum(int(str(person[3])) for person in champions),
    )


async def _check_cohorts(world: World, path: Path) -> None:
    async with world.database.transaction() as connection:
        await analytics.see_tenant(connection, cdnow.TENANT)
        cells = await analytics.customers.cohorts(connection, PURCHASES)
    expected = _computed(
        path,
        """SELECT date_trunc('month', f.first)::date,
                  date_diff('month', date_trunc('month', f.first), date_trunc('month', r.day)),
                  count(DISTINCT r.customer_id)
           FROM rows r JOIN (SELECT customer_id, min(day) AS first FROM rows GROUP BY ALL) f
             USING (customer_id) GROUP BY ALL ORDER BY ALL""",
    )
    assert [(cell.cohort, cell.month_no, cell.customers) for cell in cells] == expected
    lines = cohorts_of(cells, cdnow.LAST_DAY, group_min=5)
    assert [line.customers for line in lines] == [row[2] for row in expected if row[1] == 0]


async def _check_risks(world: World, path: Path) -> None:
    async with world.database.transaction() as connection:
        await analytics.see_tenant(connection, cdnow.TENANT)
        risks = await analytics.customers.risks(connection, PURCHASES)
    expected = _computed(
        path,
        f"""WITH sums AS (SELECT customer_id, min(day) AS first, max(day) AS last,
                                 count(DISTINCT day) AS days FROM rows GROUP BY ALL),
             paced AS (SELECT DATE '{cdnow.LAST_DAY}' - last AS since,
                              CASE WHEN days > 1 THEN (last - first) / (days - 1) END AS pace
                       FROM sums),
             usual AS (SELECT quantile_disc(pace, 0.5) AS pace FROM paced),
             judged AS (SELECT since / greatest(coalesce(p.pace, u.pace), 1) AS times
                        FROM paced p, usual u)
            SELECT CASE WHEN times > 3 THEN 'high' WHEN times > 2 THEN 'medium' ELSE 'low' END,
                   count(*) FROM judged GROUP BY ALL ORDER BY ALL""",
    )
    assert [(one.risk, one.customers) for one in risks] == expected


async def test_scores_cohorts_and_risks_of_real_purchases_equal_an_independent_computation(
    database: Database, tmp_path: Path
) -> None:
    """All of CDNOW's purchases: recency, frequency and money, retention, and risk of churn."""
    shop, path = World(database, tenant=cdnow.TENANT), cdnow.provide(tmp_path)
    await shop.seed(currency="USD")
    async with database.transaction() as connection:
        await analytics.see_tenant(connection, cdnow.TENANT)
        await analytics.books.counting_of(connection, [cdnow.TENANT])
        for batch in cdnow.batches(path, 5000):
            await analytics.events.store(connection, batch, START)
    await _check_scores(shop, path)
    await _check_cohorts(shop, path)
    await _check_risks(shop, path)


async def test_purchases_that_became_known_later_are_not_in_yesterdays_insights(
    world: World,
) -> None:
    """R74"""
    await world.send(*(world.event(customer_id=f"c-{n}") for n in range(6)))
    as_of = START + timedelta(minutes=5)
    asked = Purchases("acme", "purchase", "EUR", START.date(), START.date(), as_of)

    async def seen() -> int:
        async with world.database.transaction() as connection:
            await analytics.see_tenant(connection, "acme")
            return sum(
                one.customers for one in await analytics.customers.segments(connection, asked)
            )

    world.clock.set(as_of)
    await world.close(as_of)
    assert await seen() == 6
    await world.send(*(world.event(START, customer_id=f"d-{n}") for n in range(6)))
    assert await seen() == 6
