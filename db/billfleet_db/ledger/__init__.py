"""The ledger: what was posted, what is owed, and how a posting is undone by another.

Called by handlers inside their transaction and by `billfleet ledger`. Rows are only ever added.
"""

from billfleet_db.ledger.corrections import refund, reverse
from billfleet_db.ledger.posting import (
    LedgerAccounts,
    NewTransfer,
    PostedTransfer,
    TransferKind,
    charge_key,
    ensure_ledger_accounts,
    payment_key,
    post_transfers,
)
from billfleet_db.ledger.reading import (
    Collected,
    Entry,
    TrialBalanceRow,
    account_entries,
    balance_of,
    collected,
    trial_balance,
)

__all__ = [
    "Collected",
    "Entry",
    "LedgerAccounts",
    "NewTransfer",
    "PostedTransfer",
    "TransferKind",
    "TrialBalanceRow",
    "account_entries",
    "balance_of",
    "charge_key",
    "collected",
    "ensure_ledger_accounts",
    "payment_key",
    "post_transfers",
    "refund",
    "reverse",
    "trial_balance",
]
