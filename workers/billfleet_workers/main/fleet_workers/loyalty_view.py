"""The `loyalty-view` worker: brings loyalty transactions into the table that front ends read."""

from datetime import timedelta
from typing import Final

from billfleet_contracts import ProjectTransactions
from billfleet_workers.main.fleet_workers.spec import Handlers, WorkerSpec
from billfleet_workers.main.permissions import on_table
from billfleet_workers.main.shared import Shared


async def _open(shared: Shared) -> Handlers:
    from billfleet_workers.adapters.dynamodb_audit import DynamoAuditTrail
    from billfleet_workers.adapters.dynamodb_view import DynamoTransactionView
    from billfleet_workers.handlers.loyalty_view import LoyaltyViewHandler

    view = await DynamoTransactionView.open(
        shared.clients, stack=shared.settings.stack, clock=shared.clock
    )
    shared.closing.push_async_callback(view.close)
    audit = await DynamoAuditTrail.open(
        shared.clients, stack=shared.settings.stack, clock=shared.clock
    )
    shared.closing.push_async_callback(audit.close)
    retain = timedelta(days=shared.settings.loyalty_view_retain_days)
    audit_retain = timedelta(days=shared.settings.audit_retain_days)
    handler = LoyaltyViewHandler(
        shared.database,
        view,
        audit,
        shared.clock,
        shared.metrics,
        retain=retain,
        audit_retain=audit_retain,
    )
    return {ProjectTransactions.TYPE: handler}


WORKER: Final = WorkerSpec(
    "loyalty-view",
    "brings loyalty transactions into the table that front ends read",
    _open,
    (
        *on_table("loyalty-transactions", "BatchWriteItem"),
        *on_table("audit", "BatchWriteItem"),
    ),
)
