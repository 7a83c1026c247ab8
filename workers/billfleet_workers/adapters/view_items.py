"""A loyalty transaction as a DynamoDB item, and back from its key. Pure.

`dynamodb_view` writes and compares these. The names are those that front ends read. Ids are unique
within a tenant only, so every key begins with the tenant's; two transactions that differ in
anything differ here as well.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from billfleet_workers.runtime.ports.transaction_view import Key, StoredKey, ViewEntry

Item = Mapping[str, Mapping[str, Any]]

KEY: Final = "TransactionId"
TYPES: Final[Mapping[str, str]] = {
    "points": "POINTS_ADDITION",
    "stamps": "STAMP_ISSUANCE",
    "redemption": "REWARD_REDEMPTION",
    "cancel": "CANCELLATION",
    "expiry": "EXPIRY",
}


def item_of(entry: ViewEntry) -> Item:
    """The item; its times are of fixed width, so that text sorts as time does."""
    item: dict[str, Mapping[str, Any]] = {
        KEY: {"S": scoped(entry.tenant, entry.transaction_id)},
        "Tenant": {"S": entry.tenant},
        "CardId": {"S": scoped(entry.tenant, entry.card_id)},
        "CustomerId": {"S": scoped(entry.tenant, entry.customer_id)},
        "TransactionType": {"S": TYPES[entry.kind]},
        "Timestamp": {"S": f"{entry.occurred_at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"},
        "ExpiresAt": {"N": str(int(entry.expires_at.timestamp()))},
        "Metadata": {"M": {name: _value(fact) for name, fact in entry.facts.items()}},
    }
    if entry.quantity is not None:
        item["Amount"] = {"N": str(entry.quantity)}
    if entry.store_id is not None:
        item["StoreId"] = {"S": entry.store_id}
    return item


def scoped(tenant: str, name: str) -> str:
    """An id that no other tenant shares; a tenant's own id never has a slash."""
    return f"{tenant}/{name}"


def stored_key(item: Item) -> StoredKey:
    """The key of an item that was found, whoever put it there."""
    text = str(item[KEY]["S"])
    tenant, slash, transaction_id = text.partition("/")
    key: Key | None = (tenant, transaction_id) if tenant and slash and transaction_id else None
    return StoredKey(text, key, _instant(item.get("ExpiresAt", {}).get("N")))


def _instant(seconds: object) -> datetime | None:
    try:
        return datetime.fromtimestamp(int(str(seconds)), UTC)
    except (ValueError, OverflowError, OSError):
        return None


def _value(fact: str | int | bool) -> Mapping[str, Any]:
    if isinstance(fact, bool):
        return {"BOOL": fact}
    return {"N": str(fact)} if isinstance(fact, int) else {"S": fact}
