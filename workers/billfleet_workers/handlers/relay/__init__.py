"""The relay worker: the outbox is carried to SQS and SNS, and the ledger is sealed behind it."""

from billfleet_workers.handlers.relay.relay import Relay
from billfleet_workers.handlers.relay.sealer import Sealer

__all__ = ["Relay", "Sealer"]
