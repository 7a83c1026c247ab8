"""The exam of what makes slots exclusive: DynamoDB's conditional insert, through both clients."""

import asyncio

from billfleet_workers.adapters.aws_client import AwsClients
from billfleet_workers.adapters.dynamodb_quota import DynamoSlots
from billfleet_workers.runtime.clock import SystemClock


async def test_of_many_who_want_a_slot_one_gets_it(
    aws_clients: AwsClients, deployed_stack: str
) -> None:
    client = await aws_clients.open_dynamodb()
    slots = DynamoSlots(client, stack=deployed_stack, clock=SystemClock())
    wanted = [slots.insert("quota#stripe#1#0", 4_000_000_000) for _ in range(12)]
    assert (await asyncio.gather(*wanted)).count(True) == 1
    assert await slots.insert("quota#stripe#1#1", 4_000_000_000)
    await slots.close()
