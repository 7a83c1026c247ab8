"""Enqueue typed work for a billfleet from any Python service.

The public door of this package: import from here and from nowhere deeper. It needs the contracts
and an AWS client, which is imported when a producer opens; it must not know the fleet, its
database or its settings.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from billfleet_producers.claim_check import ClaimCheck
    from billfleet_producers.errors import (
        BatchFailed,
        EndpointUnreachable,
        MessageTooLarge,
        NotPermitted,
        ProducerError,
        ProducerMisconfigured,
        ProducerNotOpen,
        QueueMissing,
        SendFailed,
    )
    from billfleet_producers.lingering import LingeringProducer
    from billfleet_producers.outgoing import Outgoing
    from billfleet_producers.preparing import Sendable
    from billfleet_producers.producer import Producer
    from billfleet_producers.recording import RecordingProducer, RecordingSyncProducer
    from billfleet_producers.report import Failure, Receipt, Report
    from billfleet_producers.sending import RetryPolicy
    from billfleet_producers.sync_lingering import LingeringSyncProducer
    from billfleet_producers.sync_producer import SyncProducer

__all__ = [
    "BatchFailed",
    "ClaimCheck",
    "EndpointUnreachable",
    "Failure",
    "LingeringProducer",
    "LingeringSyncProducer",
    "MessageTooLarge",
    "NotPermitted",
    "Outgoing",
    "Producer",
    "ProducerError",
    "ProducerMisconfigured",
    "ProducerNotOpen",
    "QueueMissing",
    "Receipt",
    "RecordingProducer",
    "RecordingSyncProducer",
    "Report",
    "RetryPolicy",
    "SendFailed",
    "Sendable",
    "SyncProducer",
]

_HOMES = {
    "BatchFailed": "errors",
    "ClaimCheck": "claim_check",
    "EndpointUnreachable": "errors",
    "Failure": "report",
    "LingeringProducer": "lingering",
    "LingeringSyncProducer": "sync_lingering",
    "MessageTooLarge": "errors",
    "NotPermitted": "errors",
    "Outgoing": "outgoing",
    "Producer": "producer",
    "ProducerError": "errors",
    "ProducerMisconfigured": "errors",
    "ProducerNotOpen": "errors",
    "QueueMissing": "errors",
    "Receipt": "report",
    "RecordingProducer": "recording",
    "RecordingSyncProducer": "recording",
    "Report": "report",
    "RetryPolicy": "sending",
    "SendFailed": "errors",
    "Sendable": "preparing",
    "SyncProducer": "sync_producer",
}


def __getattr__(name: str) -> Any:
    """Import a name when asked for: who sends in a blocking way needs no event loop."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
