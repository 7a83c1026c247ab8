"""Good requests, to be sent as they are or with one thing wrong."""

from typing import Any

ACCOUNT: dict[str, Any] = {
    "account_id": "a-9",
    "customer": {"customer_id": "c9", "name": "Grace", "email": "grace@x.test"},
    "amount_minor": 1999,
    "currency": "EUR",
    "first_billing_on": "2026-03-31",
}


def purchase() -> dict[str, Any]:
    """A purchase of 29 points on acme's card."""
    return {
        "kind": "purchase",
        "card_id": "acme-card",
        "transaction_id": "t-1",
        "occurred_at": "2026-02-28T10:00:00Z",
        "amount_minor": 2990,
        "currency": "EUR",
    }


def event(number: int) -> dict[str, Any]:
    """An event to be counted."""
    return {
        "name": "visit",
        "event_id": f"e-{number}",
        "occurred_at": "2026-02-28T10:00:00Z",
        "properties": {"page": "/home"},
    }
