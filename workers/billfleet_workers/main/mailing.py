"""The parts that the three mail workers share: mail service, turns, windows, links, certificates.

The modules of `fleet_workers` open them here, each worker what it needs. Adapters are imported
inside, so that a process without a mail worker loads none of them.
"""

import random
from typing import TYPE_CHECKING, Final

from billfleet_workers.main.shared import Shared
from billfleet_workers.runtime.ports.certificates import Certificates
from billfleet_workers.runtime.ports.mailer import Mailer
from billfleet_workers.runtime.ports.quota import Quota
from billfleet_workers.runtime.ports.windows import Windows

if TYPE_CHECKING:
    from billfleet_workers.handlers.email.links import Links
    from billfleet_workers.handlers.email.policy import MailPolicy
    from billfleet_workers.handlers.email.turns import Turns

FEEDBACK_TOPIC: Final = "mail-feedback"


async def open_windows(shared: Shared) -> Windows:
    """The windows of the stack."""
    from billfleet_workers.adapters.dynamodb_windows import DynamoWindows

    windows = await DynamoWindows.open(
        shared.clients, stack=shared.settings.stack, clock=shared.clock
    )
    shared.closing.push_async_callback(windows.close)
    return windows


async def open_mailer(shared: Shared) -> Mailer:
    """The mail service."""
    from billfleet_workers.adapters.ses import SesMailer

    mailer = await SesMailer.open(
        shared.clients, configuration_set=shared.settings.mail_configuration_set
    )
    shared.closing.push_async_callback(mailer.close)
    return mailer


async def open_turns(shared: Shared, name: str) -> "Turns":
    """Turns at the mail service, at the rate that the fleet shares."""
    from billfleet_workers.adapters.dynamodb_quota import DynamoSlots, SlotQuota
    from billfleet_workers.handlers.email.turns import Turns

    rate, quota = shared.settings.mail_rate(), None
    if rate is not None:
        slots = DynamoSlots(
            await shared.clients.open_dynamodb(), stack=shared.settings.stack, clock=shared.clock
        )
        shared.closing.push_async_callback(slots.close)
        taken: Quota = SlotQuota(slots.insert, {name: rate}, shared.clock, random.shuffle)
        quota = taken
    return Turns(quota, name, shared.clock)


def links_of(shared: Shared) -> "Links":
    """Links to the gateway."""
    from billfleet_workers.handlers.email.links import Links

    return Links(shared.settings.public_url, shared.settings.link_secrets())


def policy_of(shared: Shared) -> "MailPolicy":
    """From whom mails come."""
    from billfleet_workers.handlers.email.policy import MailPolicy

    settings = shared.settings
    return MailPolicy(
        sender=settings.mail_from,
        marketing_sender=settings.mail_marketing_from,
        keeps_secrets=settings.mail_keep_secrets,
    )


async def feedback_topics(shared: Shared) -> tuple[str, ...]:
    """The topics whose notices are believed: those of the settings, else the stack's own."""
    from billfleet_workers.adapters.aws_publisher import TopicArns

    given = shared.settings.feedback_topics()
    if given:
        return given
    arns = TopicArns(
        await shared.clients.open_sts(), stack=shared.settings.stack, region=shared.clients.region
    )
    try:
        return (await arns.find(FEEDBACK_TOPIC),)
    finally:
        await arns.close()


def open_certificates(shared: Shared) -> Certificates:
    """The certificates of SNS, or the local stack's own."""
    from billfleet_workers.adapters.certificates import FileCertificates, HttpCertificates

    path = shared.settings.sns_certificate
    certificates = FileCertificates(path) if path else HttpCertificates(shared.clock)
    shared.closing.push_async_callback(certificates.close)
    return certificates
