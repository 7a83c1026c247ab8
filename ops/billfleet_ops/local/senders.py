"""The senders of the embedded stack, made known to its mail service.

`stack` calls it after each deployment. SES takes mails from verified identities alone, and so does
the emulator. On AWS a person verifies them, because a domain's owner has to say so.
"""

from collections.abc import Mapping

from billfleet_ops.clients import Clients, aws_errors_mapped
from billfleet_workers.settings import Settings

FIELDS = ("mail_from", "mail_marketing_from")


def senders_of(environ: Mapping[str, str]) -> list[str]:
    """The addresses that mails will come from, as the settings will say."""
    return [
        environ.get(f"BILLFLEET_{name.upper()}") or str(Settings.model_fields[name].default)
        for name in FIELDS
    ]


def verify(clients: Clients, senders: list[str]) -> None:
    """Let the emulator take mails from these."""
    with aws_errors_mapped(clients):
        for sender in senders:
            clients.sesv2.create_email_identity(EmailIdentity=sender)
