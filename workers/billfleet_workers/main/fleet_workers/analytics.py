"""The `analytics` worker: counts what front ends track and what the fleet announces."""

from typing import Final

from billfleet_contracts import CATALOGUE, EventTracked
from billfleet_workers.main.fleet_workers.spec import Handlers, WorkerSpec
from billfleet_workers.main.shared import Shared


async def _open(shared: Shared) -> Handlers:
    from billfleet_workers.handlers.analytics import AnalyticsHandler

    handler = AnalyticsHandler(shared.database, shared.clock, shared.metrics)
    facts = [name for name, entry in CATALOGUE.items() if entry.route.kind == "topic"]
    return dict.fromkeys((EventTracked.TYPE, *facts), handler)


WORKER: Final = WorkerSpec(
    "analytics", "counts tracked events and the fleet's own facts, each once", _open, gather_s=0.1
)
