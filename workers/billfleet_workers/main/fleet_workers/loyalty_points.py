"""The `loyalty-points` worker: keeps loyalty cards."""

from typing import Final

from billfleet_contracts import (
    AddPoints,
    CancelTransaction,
    IssueStamps,
    RedeemReward,
    SetProgramme,
)
from billfleet_workers.main.fleet_workers.spec import Handlers, WorkerSpec
from billfleet_workers.main.shared import SOURCE, Shared


async def _open(shared: Shared) -> Handlers:
    from billfleet_workers.handlers.loyalty_points import LoyaltyHandler

    handler = LoyaltyHandler(
        shared.database, shared.clock, shared.metrics, source=f"{SOURCE}/loyalty-points"
    )
    requests = (IssueStamps, AddPoints, RedeemReward, CancelTransaction, SetProgramme)
    return {event.TYPE: handler for event in requests}


WORKER: Final = WorkerSpec(
    "loyalty-points", "keeps loyalty cards: points, stamps, rewards, cancellations", _open
)
