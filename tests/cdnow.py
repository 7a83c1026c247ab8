"""The purchases of CDNOW as events of a shop, and where the file lies.

The real file lies beside the checkout. Where it does not, a made-up one of the same columns takes
its place, so that the same test runs everywhere. One row is one purchase of one customer on a day.
"""

import csv
import random
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from itertools import islice
from pathlib import Path

from billfleet_db.analytics import NewEvent

REAL = Path(__file__).parents[2] / "shared" / "data" / "cdnow_purchases.csv"
COLUMNS = "customer_id,date,quantity,amount_usd"
TENANT = "cdnow"
LAST_DAY = date(1998, 6, 30)


def provide(folder: Path) -> Path:
    """The real file, or a made-up one in the folder."""
    if REAL.exists():
        return REAL
    made_up = folder / "cdnow_purchases.csv"
    made_up.write_text("\n".join([COLUMNS, *_made_up_rows(random.Random(1997))]) + "\n")
    return made_up


def _made_up_rows(chance: random.Random) -> Iterator[str]:
    for number in range(1, 4001):
        first = date(1997, 1, 1) + timedelta(days=chance.randrange(90))
        for _ in range(1 + int(chance.paretovariate(1.3)) % 12):
            if first > LAST_DAY:
                break
            cents = chance.randrange(0, 20000)
            yield f"{number:05},{first},{1 + cents % 4},{Decimal(cents) / 100}"
            first += timedelta(days=int(chance.expovariate(1 / 45)))


def events(path: Path) -> Iterator[NewEvent]:
    """Every row as the event that a till would have sent at noon."""
    with path.open(newline="", encoding="utf-8") as stream:
        for number, row in enumerate(csv.DictReader(stream)):
            day = date.fromisoformat(row["date"])
            noon = datetime.combine(day, time(12), UTC)
            yield NewEvent(
                tenant_id=TENANT,
                source="till",
                event_id=f"row-{number}",
                payload_hash=f"{number:064x}",
                name="purchase",
                occurred_at=noon,
                hour_start=noon,
                local_day=day,
                brand_id="",
                store_id="",
                customer_id=row["customer_id"],
                amount_minor=int(Decimal(row["amount_usd"]) * 100),
                currency="USD",
                properties="{}",
            )


def batches(path: Path, size: int) -> Iterator[list[NewEvent]]:
    """The events in batches."""
    source = events(path)
    while batch := list(islice(source, size)):
        yield batch
