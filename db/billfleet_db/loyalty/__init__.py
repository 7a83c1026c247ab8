"""Loyalty's tables: cards, lots and movements, transactions, programmes, and their audit.

The public door of this package; one module per aggregate behind it. `cards.see_tenant` comes first
in every transaction.
"""

from billfleet_db.loyalty import (
    audit,
    cards,
    lots,
    programmes,
    reading,
    transactions,
    viewing,
    warnings,
)
from billfleet_db.loyalty.audit import LoyaltyFinding
from billfleet_db.loyalty.cards import ALL_TENANTS, Card, ExpiringCard, see_tenant
from billfleet_db.loyalty.lots import Lot, LotChange, NewLot, NewMovement, SpentLot
from billfleet_db.loyalty.programmes import Reward, RewardKey, RulesVersion, Voucher
from billfleet_db.loyalty.transactions import Cancelled, NewTransaction, Transaction
from billfleet_db.loyalty.viewing import ViewedTransaction
from billfleet_db.loyalty.warnings import ExpiringPoints

__all__ = [
    "ALL_TENANTS",
    "Cancelled",
    "Card",
    "ExpiringCard",
    "ExpiringPoints",
    "Lot",
    "LotChange",
    "LoyaltyFinding",
    "NewLot",
    "NewMovement",
    "NewTransaction",
    "Reward",
    "RewardKey",
    "RulesVersion",
    "SpentLot",
    "Transaction",
    "ViewedTransaction",
    "Voucher",
    "audit",
    "cards",
    "lots",
    "programmes",
    "reading",
    "see_tenant",
    "transactions",
    "viewing",
    "warnings",
]
