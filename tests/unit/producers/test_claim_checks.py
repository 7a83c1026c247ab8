"""Bodies above the limit are left in S3, and pointers travel in their place."""

import json
from datetime import date

import pytest

from billfleet_contracts import (
    AccountPeriod,
    Pointer,
    RebillAccounts,
    UndecodableBody,
    UnredeemedClaimCheck,
    decode,
    read_pointer,
)
from billfleet_producers import (
    ClaimCheck,
    EndpointUnreachable,
    MessageTooLarge,
    NotPermitted,
    Producer,
    ProducerError,
    RecordingProducer,
    RecordingSyncProducer,
    RetryPolicy,
)
from billfleet_producers.claim_check import LargeBody
from billfleet_producers.packing import Batch
from billfleet_producers.sending import Accepted, Answer

LEAVE_ALL = ClaimCheck("left-bodies", above_bytes=10)


def rebill(count: int = 1) -> RebillAccounts:
    accounts = tuple(
        AccountPeriod(account_id=f"acc-{number}", period_start=date(2026, 3, 1))
        for number in range(count)
    )
    return RebillAccounts(as_of=date(2026, 3, 1), accounts=accounts)


def test_a_pointer_reads_back_as_it_was_written_and_as_the_extended_client_writes_it() -> None:
    pointer = Pointer("bucket", "key/1")
    assert read_pointer(pointer.encode()) == pointer
    java = (
        '["software.amazon.payloadoffloading.PayloadS3Pointer",'
        '{"s3BucketName":"bucket","s3Key":"key/1"}]'
    )
    assert read_pointer(java) == pointer
    assert json.loads(pointer.encode()) == json.loads(java)


@pytest.mark.parametrize(
    "body",
    [
        "{}",
        "[]",
        '["software.amazon.payloadoffloading.PayloadS3Pointer"]',
        '["software.amazon.payloadoffloading.PayloadS3Pointer",{"s3BucketName":"b"}]',
        '["software.amazon.payloadoffloading.PayloadS3Pointer",{"s3BucketName":"","s3Key":"k"}]',
        '["software.amazon.payloadoffloading.PayloadS3Pointer"',
        '["another.Class",{"s3BucketName":"b","s3Key":"k"}]',
        '["software.amazon.payloadoffloading.PayloadS3Pointer",' + "[" * 100_000,
    ],
    ids=lambda body: body[:120],
)
def test_any_other_body_is_no_pointer(body: str) -> None:
    assert read_pointer(body) is None
    with pytest.raises(UndecodableBody):
        decode(body if body != "{}" else "[]")


def test_a_pointer_that_nobody_redeemed_says_so() -> None:
    with pytest.raises(UnredeemedClaimCheck):
        decode(Pointer("bucket", "key").encode())


async def test_a_large_body_is_left_and_its_pointer_travels_with_its_size() -> None:
    async with RecordingProducer(claim_check=LEAVE_ALL) as producer:
        receipt = await producer.send(rebill(), tenant="acme")
    (sent,) = producer.sent
    pointer = Pointer("left-bodies", f"claim-checks/{receipt.event_id}")
    assert read_pointer(sent.body) == pointer
    left = producer.recorder.stored[pointer]
    assert decode(left).data == rebill()
    assert sent.attributes == {"ExtendedPayloadSize": len(left.encode())}
    assert sent.group_id == "acme"
    producer.assert_sent(rebill(), tenant="acme")


def test_the_blocking_producer_does_the_same() -> None:
    with RecordingSyncProducer(claim_check=LEAVE_ALL) as producer:
        producer.send(rebill(), tenant="acme")
    assert len(producer.recorder.stored) == 1
    producer.assert_sent(rebill(), tenant="acme")


async def test_a_body_that_fits_travels_itself() -> None:
    async with RecordingProducer(claim_check=ClaimCheck("left-bodies")) as producer:
        await producer.send(rebill(), tenant="acme")
    assert producer.recorder.stored == {}
    assert decode(producer.sent[0].body).data == rebill()


class Failing:
    """S3 that fails so many times, over a queue that takes everything."""

    def __init__(self, error: ProducerError, times: int) -> None:
        self.error, self.times_left = error, times
        self.asked = 0
        self.sent: list[str] = []

    async def store(self, large: LargeBody) -> None:
        self.asked += 1
        if self.times_left:
            self.times_left -= 1
            raise self.error

    async def send(self, batch: Batch) -> list[Answer]:
        self.sent += [message.event_id for message in batch.messages]
        return [Accepted("m") for _ in batch.messages]

    async def close(self) -> None:
        return


def over(transport: Failing, attempts_max: int = 3) -> Producer:
    async def pass_by(_: float) -> None:
        return

    return Producer(
        stack="x",
        source="/unit",
        claim_check=LEAVE_ALL,
        retry=RetryPolicy(attempts_max=attempts_max),
        sleep=pass_by,
        transport=transport,
    )


async def test_a_body_that_cannot_be_left_is_reported_and_its_pointer_is_not_sent() -> None:
    transport = Failing(NotPermitted("s3://left-bodies: no", code="AccessDenied"), times=1)
    async with over(transport) as producer:
        report = await producer.send_batch([(rebill(1), "acme"), (rebill(2), "acme")])
    (failure,) = report.failed
    assert failure.error.code == "AccessDenied"
    assert [receipt.event_id for receipt in report.sent] == transport.sent
    assert len(transport.sent) == 1


async def test_what_fails_for_now_is_tried_again_and_then_given_up() -> None:
    away = EndpointUnreachable("reset", code="Unreachable", retriable=True)
    soon_back = Failing(away, times=2)
    async with over(soon_back) as producer:
        await producer.send(rebill(), tenant="acme")
    assert soon_back.asked == 3
    gone = Failing(away, times=99)
    async with over(gone) as producer:
        report = await producer.send_batch([(rebill(), "acme")])
    assert (gone.asked, gone.sent) == (3, [])
    assert isinstance(report.failed[0].error, EndpointUnreachable)


async def test_without_a_claim_check_what_is_too_large_is_refused() -> None:
    async with RecordingProducer() as producer:
        message = producer.prepare(rebill(), tenant="acme")
        body = message.body + " " * 1_048_576
        too_large = message.from_body(
            body, route=message.route, group_id="acme", event_id=message.event_id
        )
        report = await producer.send_batch([too_large])
    assert isinstance(report.failed[0].error, MessageTooLarge)
