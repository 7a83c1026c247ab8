"""Enqueue typed work for a billfleet from any Python service.

The public door of this package: import from here and from nowhere deeper. It needs the contracts
and an AWS client, which is imported when a producer opens; it must not know the fleet, its
database or its settings.
"""

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
