"""Charges through Stripe: one PaymentIntent per attempt, created and confirmed off-session.

`main` builds it. It uses the SDK's own aiohttp client, so a charge in flight costs no thread, and
turns the SDK's retries off: when to ask again is decided by the recorded state of the attempt.
The key travels twice, as Idempotency-Key and in the metadata, so that a payment can still be
found when Stripe has forgotten the key. It knows no table and no schedule.

A payment method is written `cus_…/pm_…`. With the customer, `find` lists that customer's newest
payments, which is consistent at once; a bare `pm_…`, and what may lie further back, is found by
search, which may lag by up to an hour. What was not looked at counts as unknown.
"""

import asyncio
import json
from collections.abc import Mapping
from typing import Any, Final, cast

import aiohttp
import stripe
from stripe.params import PaymentIntentCreateParams, PaymentIntentListParams

from billfleet_workers.adapters.stripe_declines import kind_of
from billfleet_workers.adapters.stripe_money import (
    NotRepresentable,
    minimum_minor,
    to_stripe_amount,
)
from billfleet_workers.runtime.errors import Unavailable
from billfleet_workers.runtime.ports.payments import (
    Busy,
    Charge,
    Declined,
    DeclineKind,
    GatewayAnswer,
    NotSent,
    Succeeded,
    Unknown,
)

KEY_FIELD: Final = "billfleet_key"
_RETRY_AFTER_S: Final = 2.0
_RETRY_AFTER_S_MAX: Final = 900.0
# Limits that Stripe alone knows: they follow the rates of exchange, and each account's contract.
_OBJECTIONS: Final[Mapping[str | None, str]] = {
    "amount_too_small": "below_minimum",
    "amount_too_large": "above_maximum",
}
_REFUSED: Final = "refused_request"
# Refusals of whatever we would send, because our own account or key is not fit for it.
_ABOUT_US: Final = frozenset(
    {"account_invalid", "livemode_mismatch", "secret_key_required", "testmode_charges_only"}
)
_PAGE: Final = 100
_LOOKED_AT_MAX: Final = 10 * _PAGE
CALL_S: Final = 30.0
FIND_S: Final = 60.0
"""For all the calls of one question. With the charges that may follow it fits into the lease."""
# Failures that come before the first byte of a request is written.
_BEFORE_SENDING: Final = (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError)


class StripeGateway:
    """One Stripe account, or whatever answers like it at `api_base`."""

    name = "stripe"

    def __init__(
        self,
        api_key: str,
        *,
        api_base: str | None = None,
        timeout_s: float = CALL_S,
        find_s: float = FIND_S,
    ) -> None:
        # Five seconds suffice to connect; past `timeout_s` the outcome counts as unknown.
        limit = aiohttp.ClientTimeout(total=timeout_s, connect=min(5.0, timeout_s))
        self._http = stripe.AIOHTTPClient(timeout=limit)
        self._find_s = find_s
        self._opened = False
        self._stripe = stripe.StripeClient(
            api_key,
            http_client=self._http,
            max_network_retries=0,
            base_addresses={"api": api_base.rstrip("/")} if api_base else {},
        )

    def minimum_minor(self, currency: str) -> int:
        """Stripe's smallest charge in this currency."""
        return minimum_minor(currency)

    def objection(self, charge: Charge) -> str | None:
        """Amounts, currencies and accounts that Stripe can't charge."""
        if charge.payment_method is None:
            return "no_payment_method"
        try:
            to_stripe_amount(charge.amount_minor, charge.currency)
        except NotRepresentable as reason:
            return str(reason)
        below = charge.amount_minor < self.minimum_minor(charge.currency)
        return "below_minimum" if below else None

    def decline_kind(self, code: str) -> DeclineKind:
        """By Stripe's page on decline codes."""
        return kind_of(code)

    def request_body(self, charge: Charge) -> str:
        """The parameters of the PaymentIntent, as canonical JSON."""
        customer, method = _customer_and_method(charge.payment_method or "")
        parameters = {
            "amount": to_stripe_amount(charge.amount_minor, charge.currency),
            # No redirects: nobody sits in front of a browser when a rebill is collected.
            "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
            "confirm": True,
            "currency": charge.currency.lower(),
            "description": charge.description,
            "metadata": {
                KEY_FIELD: charge.key,
                "account_id": charge.account_id,
                "period_start": charge.period_start.isoformat(),
                "tenant": charge.tenant,
            },
            "off_session": True,
            "payment_method": method,
        }
        if customer is not None:
            parameters["customer"] = customer
        return json.dumps(parameters, sort_keys=True, separators=(",", ":"))

    async def charge(self, key: str, body: str) -> GatewayAnswer:
        """Create and confirm the PaymentIntent."""
        self._opened = True
        parameters = cast("PaymentIntentCreateParams", json.loads(body))
        try:
            intent = await self._stripe.v1.payment_intents.create_async(
                parameters, {"idempotency_key": key}
            )
        except stripe.StripeError as error:
            return _answer_of_error(error)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            # The answer broke off while it was read: the request itself had arrived.
            return Unknown(f"the answer was lost: {type(error).__name__}")
        return _answer_of_intent(intent)

    async def find(self, key: str, body: str) -> GatewayAnswer | None:
        """Look for the PaymentIntent that carries the key."""
        self._opened = True
        customer = json.loads(body).get("customer")
        try:
            async with asyncio.timeout(self._find_s):
                if customer is not None:
                    return await self._look_through(customer, key)
                intent = await self._search(key)
        except stripe.StripeError as error:
            answer = _answer_of_error(error)
            # A question that failed says nothing about the charge, whatever the failure was.
            return answer if isinstance(answer, Busy) else Unknown(f"could not ask: {error}")
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return Unknown(f"could not ask: {type(error).__name__}")
        return None if intent is None else _answer_of_intent(intent)

    async def ping(self) -> None:
        """Ask for one payment, whichever."""
        self._opened = True
        try:
            await self._stripe.v1.payment_intents.list_async({"limit": 1})
        except (stripe.StripeError, aiohttp.ClientError, TimeoutError, OSError) as error:
            raise Unavailable("stripe", f"it does not answer us: {error}") from error

    async def close(self) -> None:
        """Close the connections."""
        if self._opened:
            self._opened = False
            closing = self._http.close_async()  # type: ignore[no-untyped-call]  # the SDK's
            await closing

    async def _search(self, key: str) -> stripe.PaymentIntent | None:
        quoted = key.replace("\\", "\\\\").replace("'", "\\'")
        found = await self._stripe.v1.payment_intents.search_async(
            {"query": f"metadata['{KEY_FIELD}']:'{quoted}'", "limit": 1}
        )
        return found.data[0] if found.data else None

    async def _look_through(self, customer: str, key: str) -> GatewayAnswer | None:
        parameters: PaymentIntentListParams = {"customer": customer, "limit": _PAGE}
        page = await self._stripe.v1.payment_intents.list_async(parameters)
        looked_at = 0
        async for intent in page.auto_paging_iter():
            if _metadata(intent).get(KEY_FIELD) == key:
                return _answer_of_intent(intent)
            looked_at += 1
            if looked_at == _LOOKED_AT_MAX:
                break
        else:
            return None
        found = await self._search(key)
        if found is not None:
            return _answer_of_intent(found)
        return Unknown(f"not among the customer's newest {looked_at} payments, nor found by search")


def _customer_and_method(payment_method: str) -> tuple[str | None, str]:
    customer, slash, method = payment_method.partition("/")
    return (customer, method) if slash else (None, customer)


def _metadata(intent: stripe.PaymentIntent) -> Mapping[str, str]:
    return cast("Mapping[str, str]", intent.to_dict().get("metadata") or {})


def _answer_of_intent(intent: stripe.PaymentIntent) -> GatewayAnswer:
    if intent.status == "succeeded":
        return Succeeded(intent.id)
    if intent.status in {"requires_payment_method", "canceled"}:
        error = intent.to_dict().get("last_payment_error") or {}
        return declined(error, intent.id, default=intent.status)
    # Still on its way, or waiting for the customer: neither taken nor refused.
    return Unknown(f"the payment is in state {intent.status}")


def declined(error: Mapping[str, Any], reference: str | None, *, default: str) -> Declined:
    """What a payment error says; the bank's own code where there is one."""
    code = str(error.get("decline_code") or error.get("code") or default)
    return Declined(code, kind_of(code), reference)


def _answer_of_error(error: stripe.StripeError) -> GatewayAnswer:
    """Say what an error of the SDK means for the money."""
    said = f"{type(error).__name__}: {error.user_message}"
    match error:
        case stripe.APIConnectionError():
            before = isinstance(error.__cause__, _BEFORE_SENDING)
            return NotSent(_cause(error)) if before else Unknown(_cause(error))
        case stripe.RateLimitError():
            return Busy(said, _retry_after_s(error))
        case stripe.CardError():
            return _declined_by(error)
        case stripe.AuthenticationError() | stripe.PermissionError():
            raise Unavailable("stripe", f"it refuses our API key: {said}") from error
        case stripe.InvalidRequestError() if error.code in _ABOUT_US:
            raise Unavailable("stripe", f"it refuses our account: {said}") from error
        case stripe.IdempotencyError():
            return Unknown(f"the key is known with other parameters: {said}")
        case stripe.InvalidRequestError() if error.param in {"payment_method", "customer"}:
            code = str(error.code or "payment_method_invalid_parameter")
            return Declined(code, "hard")
        case stripe.InvalidRequestError():
            # What was executed under this key before is answered as it was then, never so.
            objection = _OBJECTIONS.get(error.code, _REFUSED)
            return NotSent(f"it refused the request unread: {said}", objection)
        case _ if error.http_status == 409:
            return Busy(said, _retry_after_s(error))
        case _:
            return Unknown(said)


def _declined_by(error: stripe.CardError) -> Declined:
    body = cast("Mapping[str, Any]", error.json_body or {}).get("error") or {}
    intent = body.get("payment_intent") or {}
    return declined(body, intent.get("id"), default="card_declined")


def _cause(error: stripe.StripeError) -> str:
    cause = error.__cause__
    return f"{type(cause).__name__}: {cause}" if cause is not None else str(error.user_message)


def _retry_after_s(error: stripe.StripeError) -> float:
    try:
        asked_s = float((error.headers or {}).get("Retry-After", ""))
    except ValueError:
        return _RETRY_AFTER_S
    # Written so that "nan" is no number either.
    return min(asked_s, _RETRY_AFTER_S_MAX) if asked_s >= 0 else _RETRY_AFTER_S
