"""Entries of the loyalty view for tests, and what a table holds, item by item."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from billfleet_ops.clients import Clients
from billfleet_workers.runtime.ports.transaction_view import ViewEntry

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def an_entry(number: int = 1, *, tenant: str = "acme", quantity: int | None = 10) -> ViewEntry:
    """A purchase, and a different one for each number."""
    return ViewEntry(
        tenant=tenant,
        transaction_id=f"t{number}",
        card_id=f"card-{number % 7}",
        customer_id="c1",
        kind="points",
        occurred_at=NOW + timedelta(seconds=number),
        expires_at=NOW + timedelta(days=3650),
        quantity=quantity,
        facts={"state": "done", "is_final": False, "amount_minor": 100 * number},
    )


def items_in(aws: Clients, stack: str) -> dict[str, Mapping[str, Any]]:
    """Every item of the stack's table by its key."""
    pages = aws.dynamodb.get_paginator("scan").paginate(
        TableName=f"{stack}-loyalty-transactions", ConsistentRead=True
    )
    return {item["TransactionId"]["S"]: item for page in pages for item in page["Items"]}
