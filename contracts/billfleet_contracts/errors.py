"""What can be wrong with a message, as exceptions written for the operator.

Raised by the codec and the catalogue; the runtime turns each into a poison outcome and the
producer library into a refusal. This module must not know pydantic: foreign errors are mapped
before they get here. No error repeats a value of the message, since values may be personal data.
"""

from __future__ import annotations


class ContractError(Exception):
    """A message does not honour the contract, so no retry can make it succeed.

    Look at `reason` and `where`, correct the service that produced it, and replay the message
    from the dead-letter queue once the contract or the producer is mended.

    Attributes:
        reason: what is wrong, in one sentence and without values of the message.
        where: JSON path of the offending part; `$` is the whole body.
        contract: the full type with its version, when the message got far enough to name one.
    """

    def __init__(self, reason: str, *, where: str = "$", contract: str | None = None) -> None:
        self.reason = reason
        self.where = where
        self.contract = contract
        named = f" of {contract}" if contract else ""
        super().__init__(f"{reason} (at {where}{named})")


class UndecodableBody(ContractError):
    """The body is not a JSON object in UTF-8, so nothing in it can be read.

    Something that is not a billfleet producer writes to this queue, or a body was cut short.
    Look at the raw body in the dead-letter queue; SNS subscriptions need raw message delivery.
    """


class UnredeemedClaimCheck(ContractError):
    """The body is a pointer to S3, and what it points to could not be had.

    Either the object is gone, or it lies in a bucket that this worker does not read from. Look at
    the pointer in the dead-letter queue; put the object back, or set the worker's
    BILLFLEET_CLAIM_CHECK_BUCKETS, and replay.
    """


class UnknownType(ContractError):
    """The catalogue has no event of this name.

    The message was sent to the wrong queue, or by a producer that is newer than this worker.
    Deploy the worker with the newer contracts and replay, or discard the message.
    """


class UnknownVersion(ContractError):
    """The event's name is known but this version of it is not, and no upcast leads from it.

    A producer is ahead of this worker: deploy the worker with the newer contracts, then replay.
    """


class InvalidEvent(ContractError):
    """The envelope or the event's data breaks its schema: a field is missing, wrong or unknown.

    Compare the message at `where` with `contracts/schemas/<contract>.json` and mend the producer.
    """
