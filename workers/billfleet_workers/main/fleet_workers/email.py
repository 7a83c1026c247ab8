"""The `email` worker: sends mails, each once, at the rate that the mail service allows."""

from typing import Final

from billfleet_workers.main.fleet_workers.spec import Handlers, WorkerSpec
from billfleet_workers.main.mailing import (
    links_of,
    open_mailer,
    open_turns,
    open_windows,
    policy_of,
)
from billfleet_workers.main.permissions import puts_files, sends_mail, takes_turns
from billfleet_workers.main.shared import SOURCE, Shared


async def _open(shared: Shared) -> Handlers:
    from billfleet_workers.handlers.email.handler import EmailHandler, MailPorts
    from billfleet_workers.handlers.email.plans import MAILED_EVENTS

    mailer = await open_mailer(shared)
    ports = MailPorts(
        database=shared.database,
        mailer=mailer,
        objects=await shared.open_objects(),
        windows=await open_windows(shared),
        turns=await open_turns(shared, mailer.name),
        links=links_of(shared),
        clock=shared.clock,
        metrics=shared.metrics,
    )
    handler = EmailHandler(ports, policy_of(shared), f"{SOURCE}/email")
    return {event.TYPE: handler for event in MAILED_EVENTS}


WORKER: Final = WorkerSpec(
    "email",
    "sends mails from templates: bills, receipts, exports, codes, marketing",
    _open,
    permissions=(*sends_mail(), *takes_turns(), *puts_files("mails/")),
)
