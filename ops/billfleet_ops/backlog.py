"""Figures of the work that waits in the database: outbox, due and parked accounts, attempts.

`status` shows them. The statements count and change nothing. It knows tables by name and
nothing of queues.
"""

from dataclasses import dataclass

from sqlalchemy import text

from billfleet_db import Database

COUNTS = text("""
SELECT
  (SELECT count(*) FROM fleet.outbox WHERE sent_at IS NULL) AS outbox_unsent,
  (SELECT extract(epoch FROM now() - min(created_at)) FROM fleet.outbox WHERE sent_at IS NULL)
    AS outbox_oldest_age_s,
  (SELECT count(*) FROM billing.accounts
    WHERE parked_at IS NULL AND state <> 'INACTIVE'
      AND rebilling_date <= (now() AT TIME ZONE time_zone)::date) AS accounts_due,
  (SELECT count(*) FROM billing.accounts WHERE parked_at IS NOT NULL) AS accounts_parked,
  (SELECT count(*) FROM billing.attempts WHERE state = 'unknown') AS attempts_unknown,
  (SELECT count(*) FROM billing.attempts WHERE state = 'unknown' AND next_check_at IS NULL)
    AS attempts_for_a_human
""")


@dataclass(frozen=True)
class Backlog:
    """What waits in the database now."""

    outbox_unsent: int
    outbox_oldest_age_s: float | None
    accounts_due: int
    accounts_parked: int
    attempts_unknown: int
    attempts_for_a_human: int


async def backlog(url: str) -> Backlog:
    """Count it; raises the database room's errors."""
    database = Database.connect(url, pool_size=1, application_name="billfleet-status")
    try:
        async with database.transaction() as connection:
            row = (await connection.execute(COUNTS)).mappings().one()
    finally:
        await database.close()
    age_s = row["outbox_oldest_age_s"]
    counts = {name: int(value) for name, value in row.items() if name != "outbox_oldest_age_s"}
    return Backlog(**counts, outbox_oldest_age_s=None if age_s is None else float(age_s))
