"""What can go wrong while enqueuing, as exceptions written for the operator.

Raised by the producers' `send` and by `Report.raise_for_failures`; `send_batch` reports them per
entry. Every error says `why`, carries AWS's `code` where there is one, and whether the same send
may succeed later. This module must not know botocore: `aws_errors` maps its exceptions to these.
"""

from __future__ import annotations

from collections.abc import Sequence


class ProducerError(Exception):
    """Work was not enqueued.

    Attributes:
        why: what happened, in one sentence.
        code: AWS's error code, or a word of ours when AWS was not reached.
        retriable: the same send may succeed later; the library has already retried by itself.
    """

    def __init__(self, why: str, *, code: str, retriable: bool = False) -> None:
        self.why = why
        self.code = code
        self.retriable = retriable
        super().__init__(f"{why} [{code}]")


class SendFailed(ProducerError):
    """AWS answered, and refused this message or the call that carried it.

    When `retriable` is set AWS was throttling or failing: send again later. Otherwise the
    message itself was refused; `why` is AWS's own sentence.
    """


class MessageTooLarge(ProducerError):
    """The message exceeds what its queue (1 MiB) or topic (256 KiB) carries.

    Split the event: put fewer accounts or charges into one message.
    """


class QueueMissing(ProducerError):
    """The queue or topic does not exist in this account, region and stack.

    Check `stack`, the region and the endpoint; deploy the stack, or run `billfleet doctor`.
    """


class NotPermitted(ProducerError):
    """AWS refused the credentials, or there are none.

    The producer needs sqs:GetQueueUrl and sqs:SendMessage on the queue, sns:Publish on the
    topic, and kms:GenerateDataKey where the queue is encrypted with a customer key.
    """


class EndpointUnreachable(ProducerError):
    """No answer from AWS: refused, reset, not resolved, or timed out.

    Check the network, the region and AWS_ENDPOINT_URL. The message may have been accepted before
    the answer was lost; sending it again is safe, because its dedupe key is the same.
    """


class ProducerMisconfigured(ProducerError):
    """The producer cannot start as it was called: no region, or an address that is no URL.

    Correct the argument or the environment variable that `why` names.
    """


class ProducerNotOpen(ProducerError):
    """The producer is used outside of its `with` block. Open it once and keep it open."""


class BatchFailed(ProducerError):
    """Some messages of a batch were not enqueued; `errors` has one error per message."""

    def __init__(self, errors: Sequence[ProducerError], sent_count: int) -> None:
        self.errors = tuple(errors)
        first = self.errors[0]
        why = f"{len(self.errors)} not sent, {sent_count} sent; the first because: {first.why}"
        retriable = all(error.retriable for error in self.errors)
        super().__init__(why, code=first.code, retriable=retriable)
