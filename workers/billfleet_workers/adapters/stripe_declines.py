"""Which of Stripe's decline codes can never work again with the same payment method.

The stripe adapter and its webhook reader call it. A hard decline stops automatic retries and asks
the customer for another method (or for their presence); everything else, new codes included, is
soft and follows the tenant's schedule. Source: Stripe's page on decline codes.
"""

from typing import Final

from billfleet_workers.runtime.ports.payments import DeclineKind

HARD: Final = frozenset(
    {
        # The card or the account is gone, or was never there.
        *("expired_card", "incorrect_number", "invalid_account", "invalid_number"),
        *("invalid_expiry_month", "invalid_expiry_year", "new_account_information_available"),
        *("lost_card", "pickup_card", "restricted_card", "stolen_card"),
        *("bank_account_closed", "account_closed", "no_account", "payment_method_not_available"),
        # The customer withdrew, or the issuer forbids further tries.
        *("revocation_of_all_authorizations", "revocation_of_authorization"),
        *("stop_payment_order", "debit_not_authorized", "do_not_try_again", "fraudulent"),
        *("merchant_blacklist", "security_violation", "transaction_not_allowed"),
        # It can't be used like this.
        *("card_not_supported", "currency_not_supported", "incorrect_cvc", "invalid_cvc"),
        *("incorrect_zip", "incorrect_address", "service_not_allowed", "testmode_decline"),
        *("not_permitted", "payment_method_invalid_parameter", "resource_missing"),
        # Only the customer in person can go on from here.
        *("authentication_required", "offline_pin_required", "online_or_offline_pin_required"),
        *("mobile_device_authentication_required", "payment_intent_authentication_failure"),
    }
)


def kind_of(code: str) -> DeclineKind:
    """Soft or hard."""
    return "hard" if code in HARD else "soft"
