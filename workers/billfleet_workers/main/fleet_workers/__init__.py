"""The workers of the fleet, one module each. A new worker is a module and a line here.

`parts` opens them by name and the commands list them. The relay is not among them: it reads
the outbox, not a queue.
"""

from collections.abc import Mapping
from typing import Final

from billfleet_workers.main.fleet_workers import (
    analytics,
    avatar,
    collect,
    email,
    email_due_bills,
    export,
    loyalty_points,
    loyalty_view,
    mail_feedback,
    rebill,
    reports,
    webhooks,
)
from billfleet_workers.main.fleet_workers.spec import WorkerSpec

SPECS: Final[Mapping[str, WorkerSpec]] = {
    spec.name: spec
    for spec in (
        rebill.WORKER,
        collect.WORKER,
        loyalty_points.WORKER,
        loyalty_view.WORKER,
        analytics.WORKER,
        reports.WORKER,
        webhooks.WORKER,
        avatar.WORKER,
        export.WORKER,
        email_due_bills.WORKER,
        email.WORKER,
        mail_feedback.WORKER,
    )
}
