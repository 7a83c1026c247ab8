"""The `collect` worker: collects charges through the payment gateway."""

from datetime import timedelta
from typing import Final

from billfleet_contracts import CollectPayments, PaymentReported
from billfleet_workers.main.fleet_workers.spec import Handlers, WorkerSpec
from billfleet_workers.main.shared import Shared


async def _open(shared: Shared) -> Handlers:
    from billfleet_workers.handlers.collect import CollectHandler, CollectPolicy

    # The log answers at once, so all bills of a message may go side by side.
    # For the same reason what a dead worker had in hand need not wait out a gateway's time-out.
    quick = CollectPolicy(calls_at_once=100, lease=timedelta(seconds=15))
    policy = CollectPolicy(asks_first=shared.settings.ask_gateway_first)
    if shared.settings.gateway == "log":
        policy = quick
    handler = CollectHandler(shared.database, shared.gateway, shared.clock, shared.metrics, policy)
    return {CollectPayments.TYPE: handler, PaymentReported.TYPE: handler}


WORKER: Final = WorkerSpec(
    "collect", "collects charges through the payment gateway, with dunning", _open
)
