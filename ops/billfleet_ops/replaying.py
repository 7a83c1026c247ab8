"""`billfleet loyalty replay` from the settings: database, producer, and a bar for each stage.

The stages themselves are `loyalty_replay`'s. It decides nothing.
"""

from pathlib import Path

from billfleet_db import Database
from billfleet_ops.bars import bars
from billfleet_ops.errors import OpsError
from billfleet_ops.loyalty_replay import Comparison, compare, send, set_up, wait
from billfleet_ops.purchase_plan import plan_cards, read_purchases
from billfleet_producers import Producer
from billfleet_workers.settings import Settings

SET_UP_TIMEOUT_S = 300.0


async def play(
    settings: Settings, path: Path, tenant: str, *, cards_max: int | None, patience_s: float
) -> Comparison:
    """Send the plan of a file, wait for the worker, compare.

    Raises:
        OpsError: the worker made no progress for `patience_s`.
        UsageWrong: the file is no list of purchases.
    """
    plans = list(plan_cards(read_purchases(path), cards_max=cards_max))
    total = sum(len(plan.events) for plan in plans)
    database = Database.connect(
        settings.database_url.get_secret_value(),
        pool_size=1,
        statement_timeout_s=SET_UP_TIMEOUT_S,
    )
    producer = Producer(
        stack=settings.stack,
        source="/billfleet/replay",
        region=settings.aws_region,
        endpoint_url=settings.aws_endpoint_url,
    )
    try:
        await set_up(database, tenant, plans)
        async with producer:
            with bars() as shown:
                sending = shown.add_task("messages sent", total=total)
                done = shown.add_task("transactions written", total=total)
                await send(producer, tenant, plans, lambda n: shown.update(sending, completed=n))
                recorded = await wait(
                    database,
                    tenant,
                    plans,
                    lambda n: shown.update(done, completed=n),
                    patience_s=patience_s,
                )
        if recorded < total:
            raise OpsError(
                f"{recorded} of {total} transactions were written, and then none for "
                f"{patience_s:.0f} s",
                where="loyalty-points",
                remedy="Is a worker running? `billfleet status` shows queues and dead letters; "
                "run this again when it does.",
            )
        return await compare(database, tenant, plans)
    finally:
        await database.close()
