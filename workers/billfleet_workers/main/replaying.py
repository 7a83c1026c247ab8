"""What replay works with, opened from the settings: dead letters and the dedupe store.

Called by `billfleet replay-dlq`, which may not know adapters. Nothing is asked of AWS here.
"""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

from billfleet_workers.adapters.aws_client import AwsClients
from billfleet_workers.adapters.dynamodb import DynamoDedupeStore
from billfleet_workers.adapters.sqs_dead_letters import SqsDeadLetters
from billfleet_workers.runtime.clock import Clock, SystemClock
from billfleet_workers.runtime.ports.dead_letters import DeadLetters
from billfleet_workers.runtime.ports.dedupe import AmendableStore
from billfleet_workers.settings import Settings


@dataclass(frozen=True)
class ReplayParts:
    """The ports of replay and the clock."""

    letters: DeadLetters
    dedupe: AmendableStore
    clock: Clock


@asynccontextmanager
async def open_replay(settings: Settings) -> AsyncIterator[ReplayParts]:
    """Both ports on AWS, closed at the end."""
    clock = SystemClock()
    clients = AwsClients(region=settings.aws_region, endpoint_url=settings.aws_endpoint_url)
    async with AsyncExitStack() as closing:
        letters = await SqsDeadLetters.open(clients)
        closing.push_async_callback(letters.close)
        dedupe = await DynamoDedupeStore.open(clients, stack=settings.stack, clock=clock)
        closing.push_async_callback(dedupe.close)
        yield ReplayParts(letters, dedupe, clock)
