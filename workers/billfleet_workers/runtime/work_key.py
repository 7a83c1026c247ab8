"""The name of a piece of work in the dedupe store.

Delivery claims under it, and replay looks under it before it sends a message again. Both must
spell it alike, so it is spelt here. Pure; it knows no store.
"""

from billfleet_contracts import Envelope


def work_key(envelope: Envelope, queue: str) -> str:
    """Tenant, queue and dedupe key: the same work on two queues is two pieces of work."""
    return work_key_of(envelope.tenant, queue, envelope.dedupekey)


def work_key_of(tenant: str, queue: str, dedupe_key: str) -> str:
    """The same for work whose envelope is not at hand."""
    return f"{tenant}#{queue}#{dedupe_key}"
