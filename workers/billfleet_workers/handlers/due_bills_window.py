"""The window of due bills: its length, its lease, and the key of an account's window.

The due-bills worker claims it and the mail worker records it, so both read it here. Pure.
"""

from datetime import timedelta
from typing import Final

DUE_BILLS_WINDOW: Final = timedelta(minutes=60)
"""An account is mailed its open bills once in this time."""
DUE_BILLS_LEASE: Final = timedelta(minutes=5)
"""A claim without a mail lapses after this: a crash silences nobody for the hour (R47)."""


def due_bills_window(tenant: str, account_id: str) -> str:
    """The key of the window."""
    return f"due-bills#{tenant}#{account_id}"
