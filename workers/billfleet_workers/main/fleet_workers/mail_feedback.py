"""The `mail-feedback` worker: bounces and complaints, so that nobody is written to in vain."""

from typing import Final

from billfleet_contracts import SnsNotification
from billfleet_workers.main.fleet_workers.spec import Handlers, WorkerSpec
from billfleet_workers.main.mailing import feedback_topics, open_certificates
from billfleet_workers.main.shared import Shared


async def _open(shared: Shared) -> Handlers:
    from billfleet_workers.handlers.mail_feedback.handler import FeedbackHandler, FeedbackPolicy

    handler = FeedbackHandler(
        shared.database,
        open_certificates(shared),
        shared.clock,
        shared.metrics,
        FeedbackPolicy(await feedback_topics(shared)),
    )
    return {SnsNotification.TYPE: handler}


WORKER: Final = WorkerSpec(
    "mail-feedback", "takes in bounces and complaints, and suppresses addresses", _open
)
