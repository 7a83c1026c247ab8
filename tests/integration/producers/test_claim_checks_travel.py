"""A body left in S3, from either producer through SQS to the worker."""

import asyncio
from datetime import date

import pytest

from billfleet_contracts import AccountPeriod, Pointer, RebillAccounts, decode, read_pointer
from billfleet_ops.clients import Clients
from billfleet_producers import ClaimCheck, Producer, SyncProducer
from billfleet_workers.adapters.aws_client import AwsClients
from billfleet_workers.adapters.redeeming_queue import RedeemingQueue
from billfleet_workers.adapters.s3_objects import S3ObjectStore
from billfleet_workers.adapters.sqs import SqsQueue
from billfleet_workers.runtime.ports.objects import ObjectStore
from billfleet_workers.runtime.ports.queue import Received


def rebill(account: str) -> RebillAccounts:
    period = AccountPeriod(account_id=account, period_start=date(2026, 3, 1))
    return RebillAccounts(as_of=date(2026, 3, 1), accounts=(period,))


@pytest.mark.usefixtures("queues")
async def test_a_left_body_reaches_the_worker_from_both_producers(
    aws: Clients, aws_environment: dict[str, str], stack_name: str
) -> None:
    bucket = f"{stack_name}-files"
    aws.s3.create_bucket(Bucket=bucket)
    left = ClaimCheck(bucket, above_bytes=100)

    def send_blocking() -> None:
        with SyncProducer(stack=stack_name, source="/shop", claim_check=left) as producer:
            producer.send(rebill("sync"), tenant="acme")

    async with Producer(stack=stack_name, source="/shop", claim_check=left) as producer:
        await producer.send(rebill("async"), tenant="acme")
    await asyncio.to_thread(send_blocking)

    clients = AwsClients(region="us-east-1", endpoint_url=aws_environment["AWS_ENDPOINT_URL"])
    store = await S3ObjectStore.open(clients, bucket=bucket)
    sqs = await SqsQueue.open(clients, stack=stack_name, name="rebill")

    async def opened() -> ObjectStore:
        return store

    queue = RedeemingQueue(sqs, {bucket: ("claim-checks/", opened)})
    received: list[Received] = []
    while len(received) < 2:
        received += await queue.receive(limit=10, wait_s=1, visibility_timeout_s=30)
    events = [decode(one.body).data for one in received]
    assert rebill("sync") in events
    assert rebill("async") in events
    pointers = [read_pointer(one.pointer or "") for one in received]
    assert all(isinstance(one, Pointer) and one.bucket == bucket for one in pointers)
    await queue.close()
    await store.close()
