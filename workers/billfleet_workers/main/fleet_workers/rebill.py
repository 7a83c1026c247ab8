"""The `rebill` worker: charges due accounts."""

from typing import TYPE_CHECKING, Final

from billfleet_contracts import RebillAccounts
from billfleet_workers.main.fleet_workers.spec import Handlers, WorkerSpec
from billfleet_workers.main.shared import SOURCE, Shared
from billfleet_workers.settings import Settings

if TYPE_CHECKING:
    from billfleet_workers.handlers.rebill import RebillLimits


def rebill_limits(settings: Settings) -> "RebillLimits":
    """How much is billed at once, and how far ahead; the sweep and the worker agree on it."""
    from billfleet_workers.handlers.rebill import RebillLimits

    return RebillLimits(
        catch_up_periods_max=settings.catch_up_periods_max,
        charges_per_day_max=settings.charges_per_day_max,
        horizon_days=settings.horizon_days,
    )


async def _open(shared: Shared) -> Handlers:
    from billfleet_workers.handlers.rebill import RebillHandler

    handler = RebillHandler(
        shared.database,
        shared.clock,
        rebill_limits(shared.settings),
        shared.metrics,
        source=f"{SOURCE}/rebill",
    )
    return {RebillAccounts.TYPE: handler}


WORKER: Final = WorkerSpec("rebill", "charges due accounts: ledger, next date, outbox", _open)
