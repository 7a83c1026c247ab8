"""A missing permission is named with its action and its resource, whatever the call was."""

import io
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from botocore.exceptions import ClientError

from billfleet_ops.endings import end
from billfleet_ops.exits import Exit
from billfleet_ops.output import Output
from billfleet_ops.replay.session import permissions_named
from billfleet_workers.adapters.aws_client import AwsClients
from billfleet_workers.adapters.dynamodb import DynamoDedupeStore
from billfleet_workers.adapters.sqs_dead_letters import SqsDeadLetters
from billfleet_workers.runtime.clock import SystemClock
from billfleet_workers.runtime.errors import Misconfigured
from billfleet_workers.runtime.ports.dead_letters import Copy, NotAllowed
from billfleet_workers.runtime.ports.queue import Hiding

QUEUE = "https://sqs.eu-west-1.amazonaws.com/123456789012/shop-orders-dlq"


@pytest.fixture
async def refusing_endpoint(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[str]:
    """An AWS that allows nothing."""

    async def refuse(_: web.Request) -> web.Response:
        said: Mapping[str, Any] = {
            "__type": "com.amazonaws#AccessDeniedException",
            "message": "User is not authorized to perform this",
        }
        return web.Response(
            status=400, text=json.dumps(said), content_type="application/x-amz-json-1.0"
        )

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", refuse)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    await runner.cleanup()


async def test_each_call_names_the_permission_that_it_lacks(refusing_endpoint: str) -> None:
    clients = AwsClients(region="eu-west-1", endpoint_url=refusing_endpoint)
    letters = await SqsDeadLetters.open(clients)
    calls = {
        "sqs:GetQueueAttributes": letters.describe(QUEUE),
        "sqs:GetQueueUrl": letters.describe("shop-orders-dlq"),
        "sqs:ListDeadLetterSourceQueues": letters.sources(QUEUE),
        "sqs:ReceiveMessage": letters.receive(QUEUE, limit=1, wait_s=0, visibility_timeout_s=1),
        "sqs:SendMessage": letters.send(QUEUE, [Copy("x")]),
        "sqs:DeleteMessage": letters.delete(QUEUE, ["handle"]),
        "sqs:ChangeMessageVisibility": letters.hide(QUEUE, [Hiding("handle", 0)]),
    }
    for action, call in calls.items():
        with pytest.raises(NotAllowed) as refused:
            await call
        assert refused.value.action == action
        assert "shop-orders-dlq" in refused.value.resource
    await letters.close()


async def test_dedupe_table_that_may_not_be_read_is_named_with_its_action(
    refusing_endpoint: str,
) -> None:
    clients = AwsClients(region="eu-west-1", endpoint_url=refusing_endpoint)
    store = await DynamoDedupeStore.open(clients, stack="shop", clock=SystemClock())
    with pytest.raises(Misconfigured) as refused:
        await store.read(["key"])
    await store.close()
    assert isinstance(refused.value.__cause__, ClientError)
    said = ending_of(refused.value)
    assert "dynamodb:BatchGetItem" in said
    assert "shop-dedupe" in said


def test_operator_reads_action_and_resource_even_from_the_midst_of_a_run() -> None:
    said = ending_of(ExceptionGroup("passes", [NotAllowed("sqs:DeleteMessage", QUEUE)]))
    assert "The permission sqs:DeleteMessage is missing" in said
    assert QUEUE in said
    assert "Allow sqs:DeleteMessage" in said


def ending_of(error: Exception) -> str:
    stderr = io.StringIO()

    def act() -> None:
        with permissions_named():
            raise error

    output = Output(io.StringIO(), stderr)
    code = end(act, output=output, home=Path("nowhere"), debug=False)
    assert code == Exit.CONFIGURATION
    return stderr.getvalue()
