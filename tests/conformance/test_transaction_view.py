"""The exam of the transaction view, in memory and on DynamoDB through both clients."""

from dataclasses import replace

import pytest

from billfleet_ops.clients import Clients
from billfleet_workers.adapters.aws_client import AwsClients
from billfleet_workers.adapters.dynamodb_view import DynamoTransactionView
from billfleet_workers.adapters.memory_view import MemoryTransactionView
from billfleet_workers.runtime.clock import SystemClock
from billfleet_workers.runtime.errors import Misconfigured, Unavailable
from billfleet_workers.runtime.ports.transaction_view import TransactionView
from view_examples import an_entry, items_in


async def test_what_was_put_is_as_it_was_put_also_the_second_time(view: TransactionView) -> None:
    """R69: an entry may be put in any order and any number of times."""
    entries = [an_entry(number) for number in range(130)]
    for order in (entries, entries[::-1]):
        await view.put(order)
        assert await view.differing(entries) == {}
    assert len([key async for page in view.stored() for key in page]) == 130


async def test_what_is_missing_and_what_differs_in_one_figure_is_found(
    view: TransactionView,
) -> None:
    await view.put([an_entry(1), an_entry(2), an_entry(2, tenant="other")])
    asked = [an_entry(1), replace(an_entry(2), quantity=11), an_entry(3)]
    assert await view.differing(asked) == {
        ("acme", "t2"): "different",
        ("acme", "t3"): "missing",
    }


async def test_keys_say_whose_they_are_and_when_they_are_forgotten(view: TransactionView) -> None:
    await view.put([an_entry(1)])
    [stored] = [key async for page in view.stored() for key in page]
    assert stored.key == ("acme", "t1")
    assert stored.expires_at == an_entry(1).expires_at


async def test_what_is_removed_is_gone_and_may_be_removed_again(view: TransactionView) -> None:
    await view.put([an_entry(1), an_entry(2)])
    stored = [key async for page in view.stored() for key in page]
    one = [key for key in stored if key.key == ("acme", "t1")]
    for _ in range(2):
        await view.remove(one)
    assert await view.differing([an_entry(1), an_entry(2)]) == {("acme", "t1"): "missing"}


async def test_nothing_to_put_or_remove_asks_nothing(view: TransactionView) -> None:
    await view.put([])
    await view.remove([])
    assert await view.differing([]) == {}


async def test_a_view_that_is_away_says_so() -> None:
    view = MemoryTransactionView()
    view.faults.take_away()
    with pytest.raises(Unavailable):
        await view.put([an_entry(1)])


async def test_a_missing_table_is_named(aws_clients: AwsClients) -> None:
    view = await DynamoTransactionView.open(aws_clients, stack="nowhere", clock=SystemClock())
    with pytest.raises(Misconfigured, match="nowhere-loyalty-transactions"):
        await view.put([an_entry(1)])
    await view.close()


async def test_customers_and_cards_find_their_transactions_in_the_order_of_time(
    aws: Clients, aws_clients: AwsClients, deployed_stack: str
) -> None:
    view = await DynamoTransactionView.open(aws_clients, stack=deployed_stack, clock=SystemClock())
    await view.put([an_entry(number) for number in (16, 2, 9, 3)])
    await view.close()
    answer = aws.dynamodb.query(
        TableName=f"{deployed_stack}-loyalty-transactions",
        IndexName="by-card",
        KeyConditionExpression="CardId = :card AND #at > :since",
        ExpressionAttributeNames={"#at": "Timestamp"},
        ExpressionAttributeValues={
            ":card": {"S": "acme/card-2"},
            ":since": {"S": "2026-03-01T12:00:02.5"},
        },
    )
    assert [item["TransactionId"]["S"] for item in answer["Items"]] == ["acme/t9", "acme/t16"]
    assert items_in(aws, deployed_stack)["acme/t9"]["Metadata"]["M"]["amount_minor"] == {"N": "900"}
