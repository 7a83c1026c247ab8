"""The `webhooks` worker: tells tenants' endpoints what the fleet announces."""

from typing import Final

from billfleet_contracts import CATALOGUE, DeliverWebhook
from billfleet_workers.main.fleet_workers.spec import Handlers, WorkerSpec
from billfleet_workers.main.shared import SOURCE, Shared


async def _open(shared: Shared) -> Handlers:
    from billfleet_workers.adapters.webhook_http import HttpWebhookSender
    from billfleet_workers.handlers.webhooks import DeliverHandler, FanOutHandler

    sender = await HttpWebhookSender.open(to_loopback=shared.settings.webhooks_to_loopback)
    shared.closing.push_async_callback(sender.close)
    fan_out = FanOutHandler(shared.database, shared.clock, source=f"{SOURCE}/webhooks")
    deliver = DeliverHandler(shared.database, sender, shared.clock, shared.metrics)
    facts = [name for name, entry in CATALOGUE.items() if entry.route.kind == "topic"]
    return {**dict.fromkeys(facts, fan_out), DeliverWebhook.TYPE: deliver}


WORKER: Final = WorkerSpec(
    "webhooks", "tells tenants' endpoints what the fleet announces, signed and logged", _open
)
