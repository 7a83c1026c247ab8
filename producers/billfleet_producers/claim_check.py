"""Claim checks: bodies above what SQS or SNS carries are left in S3, and a pointer travels.

Both producers ask it before packing. It decides which messages and under which key; storing is
the transport's, and the pointer's format is the contract's. Objects are never deleted by the
fleet, since a message may be replayed weeks later: the bucket's lifecycle rule removes them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from billfleet_contracts import Pointer
from billfleet_producers.errors import ProducerError
from billfleet_producers.outgoing import Outgoing
from billfleet_producers.packing import bytes_max


@dataclass(frozen=True, slots=True)
class ClaimCheck:
    """Where large bodies are left.

    Attributes:
        bucket: an S3 bucket that the producer may write to and the workers may read from.
        prefix: what keys begin with.
        above_bytes: bodies above this many bytes are left; what the queue or topic carries (1 MiB,
            256 KiB) when not given.
    """

    bucket: str
    prefix: str = "claim-checks/"
    above_bytes: int | None = None

    def takes(self, message: Outgoing) -> bool:
        """Whether the body of this message has to be left."""
        limit = bytes_max(message.route)
        return message.size_bytes > min(limit, self.above_bytes or limit)

    def pointer_to(self, message: Outgoing) -> Pointer:
        """Where its body goes. The same message has the same key, however often it is sent."""
        return Pointer(self.bucket, f"{self.prefix}{message.event_id}")


@dataclass(frozen=True, slots=True)
class LargeBody:
    """A body on its way to S3."""

    pointer: Pointer
    body: str


@dataclass(slots=True)
class CheckingIn:
    """The large bodies of one send. `messages` is what may leave once they are stored."""

    messages: list[Outgoing]
    large: dict[int, LargeBody]
    refused: dict[int, ProducerError]

    @classmethod
    def of(cls, messages: Sequence[Outgoing], claim_check: ClaimCheck | None) -> CheckingIn:
        """Put pointers in the places of large bodies."""
        leaving, large = list(messages), {}
        for position, message in enumerate(messages):
            if claim_check is not None and claim_check.takes(message):
                pointer = claim_check.pointer_to(message)
                large[position] = LargeBody(pointer, message.body)
                leaving[position] = replace(
                    message,
                    body=pointer.encode(),
                    left_body_bytes=len(message.body.encode()),
                )
        return cls(leaving, large, {})
