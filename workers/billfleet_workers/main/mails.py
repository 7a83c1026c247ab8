"""Mails for the commands and the console: the copy of one that was sent, and what SNS signs.

They may not know adapters or handlers, so the object store is opened here.
"""

from billfleet_workers.adapters.s3_objects import S3ObjectStore
from billfleet_workers.handlers.mail_feedback.verifying import signed_text
from billfleet_workers.main.shared import open_aws_clients
from billfleet_workers.runtime.clock import SystemClock
from billfleet_workers.runtime.ports.objects import ObjectMissing
from billfleet_workers.settings import Settings

__all__ = ["read_mail_copy", "signed_text"]


async def read_mail_copy(settings: Settings, object_key: str) -> bytes | None:
    """The bytes that travelled; None when the copy's thirty days are over.

    Raises:
        billfleet_workers.runtime.errors.Unavailable: the object store does not answer.
    """
    clients = open_aws_clients(settings, SystemClock())
    store = await S3ObjectStore.open(clients, bucket=settings.bucket())
    try:
        return await store.get(object_key)
    except ObjectMissing:
        return None
    finally:
        await store.close()
