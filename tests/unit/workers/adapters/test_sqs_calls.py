"""What the SQS adapter asks of SQS: a client that only writes down the calls."""

from typing import Any, cast

import pytest

from billfleet_workers.adapters.sqs import SqsQueue
from billfleet_workers.runtime.ports.queue import Burial, Hiding


class NotingClient:
    """Accepts everything; keeps the parameters of each call by its name."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []

    def __getattr__(self, name: str) -> Any:
        async def call(**parameters: Any) -> dict[str, Any]:
            self.calls.append((name, parameters))
            entries = parameters.get("Entries", [])
            return {"QueueUrl": f"url of {parameters.get('QueueName')}", "Successful": entries}

        return call

    def named(self, name: str) -> list[dict[str, Any]]:
        return [parameters for called, parameters in self.calls if called == name]


@pytest.fixture
def client() -> NotingClient:
    return NotingClient()


@pytest.fixture
def queue(client: NotingClient) -> SqsQueue:
    return SqsQueue(cast("Any", client), stack="s", name="rebill")


async def test_queue_is_looked_up_once(queue: SqsQueue, client: NotingClient) -> None:
    for _ in range(3):
        await queue.delete(["handle"])
    assert client.named("get_queue_url") == [{"QueueName": "s-rebill"}]
    assert client.named("delete_message_batch")[0]["QueueUrl"] == "url of s-rebill"


@pytest.mark.parametrize(
    ("limit", "wait_s", "asked"), [(50, 60, (10, 20)), (0, 0.2, (1, 1)), (7, -1, (7, 0))]
)
async def test_receive_stays_within_what_sqs_takes(
    queue: SqsQueue, client: NotingClient, limit: int, wait_s: float, asked: tuple[int, int]
) -> None:
    await queue.receive(limit=limit, wait_s=wait_s, visibility_timeout_s=90)
    [call] = client.named("receive_message")
    assert (call["MaxNumberOfMessages"], call["WaitTimeSeconds"]) == asked
    assert call["VisibilityTimeout"] == 90
    assert call["MessageSystemAttributeNames"] == [
        "ApproximateReceiveCount",
        "SentTimestamp",
        "MessageGroupId",
    ]


async def test_message_is_never_hidden_for_more_than_twelve_hours(
    queue: SqsQueue, client: NotingClient
) -> None:
    await queue.hide([Hiding("h", 10**6), Hiding("h", -5), Hiding("h", 30)])
    [call] = client.named("change_message_visibility_batch")
    assert [entry["VisibilityTimeout"] for entry in call["Entries"]] == [43_200, 0, 30]


async def test_batches_of_ten_leave_at_the_same_time(queue: SqsQueue, client: NotingClient) -> None:
    assert await queue.delete([f"h{n}" for n in range(23)]) == [None] * 23
    sizes = [len(call["Entries"]) for call in client.named("delete_message_batch")]
    assert sizes == [10, 10, 3]


async def test_no_burial_call_exceeds_a_mebibyte_attributes_included(
    queue: SqsQueue, client: NotingClient
) -> None:
    burials = [Burial(f"m{n}", "x" * 262_144, {"reason": "poison"}) for n in range(4)]
    assert await queue.bury(burials) == [None] * 4
    sizes = [len(call["Entries"]) for call in client.named("send_message_batch")]
    assert sizes == [3, 1]
