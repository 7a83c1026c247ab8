"""The relay: it carries the outbox to SQS and SNS."""

from billfleet_workers.handlers.relay.relay import Relay

__all__ = ["Relay"]
