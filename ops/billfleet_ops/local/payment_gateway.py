"""A payment gateway on loopback that speaks the part of Stripe's HTTP API that the fleet uses.

Tests and the embedded stack start it; no real one can be told to lose an answer. It honours
idempotency keys and forgets them after 24 hours of its clock, refuses other parameters under a
known key, replays what it saved (errors of its own included), and fails in every way that is
scripted for a payment method. Every charge that really happened stays in `charges`. It knows
nothing of the fleet.

`python -m billfleet_ops.local.payment_gateway --port 12111` runs it by hand.
"""

import argparse
import asyncio
import json
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal

from aiohttp import web
from aiohttp.typedefs import Handler

from billfleet_ops.local.payment_events import PaymentEvents
from billfleet_ops.local.payment_faults import Fault, FaultPlan

KEY_LIFE: Final = timedelta(hours=24)
_PAGE: Final = 100


@dataclass(frozen=True, slots=True)
class Charged:
    """Money that was really taken."""

    key: str
    intent_id: str
    payment_method: str
    amount: int
    currency: str
    at: datetime


@dataclass(slots=True)
class _Saved:
    parameters: Mapping[str, str]
    status: int
    body: dict[str, Any]
    at: datetime


def _utc_now() -> datetime:
    return datetime.now(UTC)


class FakeGateway:
    """Starts on a free port of loopback; `url` is what `BILLFLEET_STRIPE_API_BASE` wants."""

    def __init__(
        self,
        *,
        now: Callable[[], datetime] = _utc_now,
        webhook_secret: str = "whsec_local",  # noqa: S107 - guards nothing outside of loopback
        plan: FaultPlan | None = None,
    ) -> None:
        self._now = now
        self._plan = plan
        self._scripts: defaultdict[str, deque[Fault]] = defaultdict(deque)
        self._saved: dict[str, _Saved] = {}
        self._busy: set[str] = set()
        self._stopping = asyncio.Event()
        self._runner: web.AppRunner | None = None
        self.intents: dict[str, dict[str, Any]] = {}
        self.charges: list[Charged] = []
        self.requests: list[tuple[str, str]] = []
        self.events = PaymentEvents(now, webhook_secret)
        self.refuses_api_keys = False
        self.url = ""

    async def start(self, port: int = 0) -> str:
        """Listen, and return the URL."""
        application = web.Application(middlewares=[self._check_api_key])
        application.router.add_post("/v1/payment_intents", self._create)
        application.router.add_get("/v1/payment_intents", self._list)
        application.router.add_get("/v1/payment_intents/search", self._search)
        application.router.add_get("/v1/payment_intents/{id}", self._retrieve)
        self._runner = web.AppRunner(application, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", port)
        await site.start()
        address = self._runner.addresses[0]
        self.url = f"http://127.0.0.1:{address[1]}"
        return self.url

    async def stop(self) -> None:
        """Let hanging requests go and stop listening."""
        self._stopping.set()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    def script(self, payment_method: str, *faults: Fault) -> None:
        """Say what the next charges of this payment method do; after them, they succeed."""
        self._scripts[payment_method].extend(faults)

    def charged(self, key: str) -> list[Charged]:
        """How often money was taken under this key: at most once, if all is well."""
        return [one for one in self.charges if one.key == key]

    def correct(self, intent_id: str, result: Literal["succeeded", "declined"], code: str) -> None:
        """Change what became of a payment, as a bank does days later, and say so by webhook."""
        intent = self.intents[intent_id]
        if result == "succeeded":
            self._take_money(intent)
        else:
            self._refuse(intent, code)

    @web.middleware
    async def _check_api_key(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        if self.refuses_api_keys:
            return _error(401, "invalid_request_error", "api_key_expired")
        return await handler(request)

    async def _create(self, request: web.Request) -> web.StreamResponse:
        key = request.headers.get("Idempotency-Key", "")
        parameters = {name: str(value) for name, value in (await request.post()).items()}
        self.requests.append(("charge", key))
        saved = self._remembered(key)
        if saved is not None:
            return _replayed(saved, parameters)
        if key in self._busy:
            return _error(409, "idempotency_error", "idempotency_key_in_use")
        self._busy.add(key)
        try:
            return await self._charge(request, key, parameters)
        finally:
            self._busy.discard(key)

    async def _charge(
        self, request: web.Request, key: str, parameters: Mapping[str, str]
    ) -> web.StreamResponse:
        fault = self._next_fault(parameters.get("payment_method", ""))
        match fault.kind:
            case "conflict":
                return _error(409, "idempotency_error", "idempotency_key_in_use")
            case "too_many":
                headers = {"Retry-After": str(fault.retry_after_s)}
                return _error(429, "invalid_request_error", "rate_limit", headers=headers)
            case "hang_before":
                await self._stopping.wait()
                return _error(503, "api_error", "stopping")
            case "reset_before":
                return _reset(request)
        return await self._execute(request, key, parameters, fault)

    async def _execute(
        self, request: web.Request, key: str, parameters: Mapping[str, str], fault: Fault
    ) -> web.StreamResponse:
        """From here on an outcome is saved under the key."""
        status, body = self._outcome(key, parameters, fault)
        if key:
            self._saved[key] = _Saved(parameters, status, body, self._now())
        if fault.kind == "hang_after":
            await self._stopping.wait()
        if fault.kind == "reset_after":
            return _reset(request)
        return web.json_response(body, status=status)

    def _outcome(
        self, key: str, parameters: Mapping[str, str], fault: Fault
    ) -> tuple[int, dict[str, Any]]:
        server_error = _error_body("api_error", "internal_error")
        if fault.kind == "error_before":
            return 500, server_error
        intent = self._new_intent(key, parameters)
        if fault.kind == "processing":
            intent["status"] = "processing"
            return 200, dict(intent)
        if fault.kind == "decline":
            self._refuse(intent, fault.code)
            error = intent["last_payment_error"] | {"payment_intent": dict(intent)}
            return 402, {"error": error}
        self._take_money(intent)
        return (500, server_error) if fault.kind == "error_after" else (200, dict(intent))

    async def _list(self, request: web.Request) -> web.StreamResponse:
        customer = request.query.get("customer")
        self.requests.append(("list", customer or ""))
        found = [one for one in self._newest_first() if customer in {None, one["customer"]}]
        after = request.query.get("starting_after")
        if after is not None:
            found = found[[one["id"] for one in found].index(after) + 1 :]
        return _listed(found, int(request.query.get("limit", _PAGE)), "/v1/payment_intents")

    async def _search(self, request: web.Request) -> web.StreamResponse:
        query = request.query.get("query", "")
        self.requests.append(("search", query))
        found = [
            one
            for one in self._newest_first()
            if any(
                query == f"metadata['{name}']:'{value}'" for name, value in one["metadata"].items()
            )
        ]
        return _listed(found, int(request.query.get("limit", 10)), "/v1/payment_intents/search")

    async def _retrieve(self, request: web.Request) -> web.StreamResponse:
        intent = self.intents.get(request.match_info["id"])
        if intent is None:
            return _error(404, "invalid_request_error", "resource_missing")
        return web.json_response(intent)

    def _new_intent(self, key: str, parameters: Mapping[str, str]) -> dict[str, Any]:
        number = len(self.intents) + 1
        metadata = {
            name.removeprefix("metadata[").removesuffix("]"): value
            for name, value in parameters.items()
            if name.startswith("metadata[")
        }
        intent: dict[str, Any] = {
            "id": f"pi_{number:024d}",
            "object": "payment_intent",
            "amount": int(parameters["amount"]),
            "currency": parameters["currency"],
            "customer": parameters.get("customer"),
            "payment_method": parameters.get("payment_method"),
            "status": "requires_confirmation",
            "last_payment_error": None,
            "metadata": metadata,
            "created": int(self._now().timestamp()),
            "key": key,
        }
        self.intents[intent["id"]] = intent
        return intent

    def _take_money(self, intent: dict[str, Any]) -> None:
        charged = Charged(
            key=intent["key"],
            intent_id=intent["id"],
            payment_method=intent["payment_method"] or "",
            amount=intent["amount"],
            currency=intent["currency"],
            at=self._now(),
        )
        self.charges.append(charged)
        intent |= {"status": "succeeded", "last_payment_error": None}
        self.events.add("payment_intent.succeeded", intent)

    def _refuse(self, intent: dict[str, Any], code: str) -> None:
        error = _error_body("card_error", "card_declined")["error"] | {"decline_code": code}
        intent |= {"status": "requires_payment_method", "last_payment_error": error}
        self.events.add("payment_intent.payment_failed", intent)

    def _next_fault(self, payment_method: str) -> Fault:
        scripted = self._scripts[payment_method]
        if scripted:
            return scripted.popleft()
        return self._plan.next() if self._plan is not None else Fault()

    def _remembered(self, key: str) -> _Saved | None:
        saved = self._saved.get(key)
        if saved is not None and self._now() - saved.at >= KEY_LIFE:
            del self._saved[key]
            return None
        return saved

    def _newest_first(self) -> list[dict[str, Any]]:
        return list(reversed(self.intents.values()))


def _searchable(intent: Mapping[str, Any]) -> set[str]:
    return {f"metadata['{name}']:'{value}'" for name, value in intent["metadata"].items()}


def _replayed(saved: _Saved, parameters: Mapping[str, str]) -> web.Response:
    if dict(saved.parameters) != dict(parameters):
        return _error(400, "idempotency_error", "idempotency_key_reused")
    headers = {"Idempotent-Replayed": "true"}
    return web.json_response(saved.body, status=saved.status, headers=headers)


def _listed(found: Sequence[Mapping[str, Any]], limit: int, url: str) -> web.Response:
    is_search = url.endswith("/search")
    body = {
        "object": "search_result" if is_search else "list",
        "url": url,
        "has_more": len(found) > limit,
        "data": list(found[:limit]),
    }
    return web.json_response(body)


def _error(
    status: int, kind: str, code: str, *, headers: Mapping[str, str] | None = None
) -> web.Response:
    return web.json_response(_error_body(kind, code), status=status, headers=headers)


def _error_body(kind: str, code: str) -> dict[str, Any]:
    return {"error": {"type": kind, "code": code, "message": f"scripted: {code}"}}


def _reset(request: web.Request) -> web.StreamResponse:
    """Cut the connection without an answer."""
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)


async def _serve(port: int) -> None:
    gateway = FakeGateway()
    url = await gateway.start(port)
    print(json.dumps({"url": url}), flush=True)  # noqa: T201 - what the starter waits for
    await asyncio.Event().wait()


def main(arguments: Sequence[str] | None = None) -> None:
    """Run it until interrupted."""
    parser = argparse.ArgumentParser(description="A fake payment gateway on loopback.")
    parser.add_argument("--port", type=int, default=12111)
    asyncio.run(_serve(parser.parse_args(arguments).port))


if __name__ == "__main__":
    main()
