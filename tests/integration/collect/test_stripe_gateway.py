"""The stripe adapter against the fake gateway on loopback, down to the ledger."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from billfleet_contracts import CollectPayments, PaymentReported
from billfleet_ops.local.payment_faults import Fault, FaultKind, FaultPlan
from billfleet_ops.local.payment_gateway import FakeGateway
from billfleet_workers.adapters.payments_rated import PATIENCE_S
from billfleet_workers.adapters.payments_stripe import CALL_S, FIND_S, StripeGateway
from billfleet_workers.adapters.stripe_webhook import WebhookRefused, read_webhook, tenant_of_key
from billfleet_workers.handlers.collect.policy import CollectPolicy
from billfleet_workers.runtime.errors import Transient, Unavailable
from billfleet_workers.runtime.handling import Finished
from billfleet_workers.runtime.ports.payments import (
    Busy,
    Declined,
    GatewayAnswer,
    NotSent,
    Succeeded,
    Unknown,
)
from collect_world import HOUR_S, World, key, ref
from payment_benches import StripeBench, charge, stripe_bench

KEY = key()
SECRET = "whsec_local"


async def ask(bench: StripeBench, *faults: Fault, method: str = "cus_ada/pm_card") -> GatewayAnswer:
    bench.fake.script(method.rpartition("/")[2], *faults)
    body = bench.gateway.request_body(charge(payment_method=method))
    return await bench.gateway.charge(KEY, body)


@pytest.mark.parametrize(
    ("kind", "answer", "charged"),
    [
        ("hang_before", Unknown, 0),
        ("hang_after", Unknown, 1),
        ("reset_before", Unknown, 0),
        ("reset_after", Unknown, 1),
        ("error_before", Unknown, 0),
        ("error_after", Unknown, 1),
        ("processing", Unknown, 0),
        ("conflict", Busy, 0),
        ("too_many", Busy, 0),
    ],
)
async def test_each_trouble_on_the_wire_is_told_apart(
    kind: FaultKind, answer: type[GatewayAnswer], charged: int
) -> None:
    """R23, R27"""
    async with stripe_bench(timeout_s=0.3) as bench:
        assert isinstance(await ask(bench, Fault(kind)), answer)
        assert len(bench.fake.charged(KEY)) == charged


async def test_refused_connection_is_known_not_to_have_charged() -> None:
    """R25"""
    fake = FakeGateway()
    url = await fake.start()
    await fake.stop()
    gateway = StripeGateway("sk_test_fake", api_base=url)
    body = gateway.request_body(charge())
    assert isinstance(await gateway.charge(KEY, body), NotSent)
    assert isinstance(await gateway.find(KEY, body), Unknown)
    await gateway.close()


async def test_wrong_api_key_is_nobodys_decline() -> None:
    async with stripe_bench() as bench:
        await bench.gateway.ping()
        bench.fake.refuses_api_keys = True
        with pytest.raises(Unavailable, match="refuses our API key"):
            await ask(bench)
        with pytest.raises(Unavailable, match="does not answer us"):
            await bench.gateway.ping()


async def test_wrong_api_key_pauses_the_worker_and_the_attempt_is_sent_when_it_is_right(
    world: World,
) -> None:
    """R25: nobody is past due because of our settings."""
    async with stripe_bench() as bench:
        world.clock = bench.clock
        await world.seed("a1", "a2", payment_method="cus_a/pm_a")
        bench.fake.refuses_api_keys = True
        with pytest.raises(Unavailable):
            await run(world, bench, "a1", "a2")
        assert await world.attempts() == [(1, "not_sent")]
        assert await world.state() == "ACTIVE"
        bench.fake.refuses_api_keys = False
        await run(world, bench, "a1", "a2")
        assert len(await world.payments()) == 2


@asynccontextmanager
async def answering(
    status: int, error: Mapping[str, str], headers: Mapping[str, str]
) -> AsyncIterator[StripeGateway]:
    """A gateway that gives this answer to every charge."""

    async def answer(_: web.Request) -> web.Response:
        return web.json_response({"error": error}, status=status, headers=headers)

    application = web.Application()
    application.router.add_post("/v1/payment_intents", answer)
    async with TestServer(application) as server:
        gateway = StripeGateway("sk_test_fake", api_base=str(server.make_url("")))
        yield gateway
        await gateway.close()


@pytest.mark.parametrize(
    ("code", "objection"),
    [
        ("amount_too_small", "below_minimum"),
        ("amount_too_large", "above_maximum"),
        ("parameter_unknown", "refused_request"),
    ],
)
async def test_refused_request_would_be_refused_for_ever_and_says_why(
    code: str, objection: str
) -> None:
    """R18: the smallest charge in many currencies follows the rate of exchange."""
    error = {"type": "invalid_request_error", "code": code, "param": "amount"}
    async with answering(400, error, {}) as gateway:
        answer = await gateway.charge(KEY, gateway.request_body(charge()))
    assert isinstance(answer, NotSent)
    assert answer.objection == objection


async def test_refusal_of_our_own_account_parks_no_bill() -> None:
    """R25: every bill would wait for a person, because of one setting."""
    error = {"type": "invalid_request_error", "code": "testmode_charges_only"}
    async with answering(400, error, {}) as gateway:
        with pytest.raises(Unavailable, match="refuses our account"):
            await gateway.charge(KEY, gateway.request_body(charge()))


@pytest.mark.parametrize(
    ("said", "wait_s"), [("7", 7.0), ("nan", 2.0), ("-1", 2.0), ("soon", 2.0), ("1e300", 900.0)]
)
async def test_busy_gateway_cannot_ask_for_more_patience_than_a_lease_can_hold(
    said: str, wait_s: float
) -> None:
    """R27: a wait that is no number would lose the answers of a whole round."""
    async with answering(429, {"type": "invalid_request_error"}, {"Retry-After": said}) as gateway:
        answer = await gateway.charge(KEY, gateway.request_body(charge()))
    assert isinstance(answer, Busy)
    assert answer.retry_after_s == wait_s


async def test_the_sdk_makes_no_retries_of_its_own() -> None:
    """R27: when to ask again is decided by the recorded state, and nowhere else."""
    async with stripe_bench() as bench:
        await ask(bench, Fault("error_before"), Fault("conflict"))
        assert [verb for verb, _ in bench.fake.requests] == ["charge"]


async def test_saved_error_is_replayed_although_the_money_was_taken_and_asking_tells() -> None:
    """R21, R23"""
    async with stripe_bench() as bench:
        body = bench.gateway.request_body(charge())
        assert isinstance(await ask(bench, Fault("error_after")), Unknown)
        assert isinstance(await bench.gateway.charge(KEY, body), Unknown)
        assert isinstance(await bench.gateway.find(KEY, body), Succeeded)
        assert len(bench.fake.charged(KEY)) == 1


async def test_payment_without_a_customer_is_found_by_search() -> None:
    """R22"""
    async with stripe_bench() as bench:
        await ask(bench, method="pm_card")
        body = bench.gateway.request_body(charge(payment_method="pm_card"))
        assert isinstance(await bench.gateway.find(KEY, body), Succeeded)
        assert bench.fake.requests[-1][0] == "search"


async def test_payment_is_found_among_more_than_one_page_of_a_customer() -> None:
    """R22"""
    async with stripe_bench() as bench:
        await ask(bench)
        body = bench.gateway.request_body(charge(key="acme:a1:2026-04-01:1"))
        for number in range(120):
            await bench.gateway.charge(f"other-{number}", body)
        found = await bench.gateway.find(KEY, bench.gateway.request_body(charge()))
        assert found == Succeeded("pi_" + "1".zfill(24))


@asynccontextmanager
async def endless(
    *, found: bool = False, hangs_at_page: int = 0, find_s: float = 60.0
) -> AsyncIterator[tuple[StripeGateway, list[str]]]:
    """A customer with payments without end, none of which is ours unless search finds it."""
    asked: list[str] = []

    def page(kind: str, metadata: Mapping[str, str], *, more: bool) -> web.Response:
        one = {"object": "payment_intent", "status": "succeeded", "metadata": metadata}
        data = [one | {"id": f"pi_{len(asked)}_{number}"} for number in range(100)]
        listed = {"object": kind, "url": "/v1/payment_intents", "has_more": more}
        return web.json_response(listed | {"data": data if metadata or more else []})

    async def list_page(_: web.Request) -> web.Response:
        asked.append("list")
        if len(asked) == hangs_at_page:
            await asyncio.Event().wait()
        return page("list", {}, more=True)

    async def search(_: web.Request) -> web.Response:
        asked.append("search")
        return page("search_result", {"billfleet_key": KEY} if found else {}, more=False)

    application = web.Application()
    application.router.add_get("/v1/payment_intents", list_page)
    application.router.add_get("/v1/payment_intents/search", search)
    async with TestServer(application) as server:
        gateway = StripeGateway("sk_test", api_base=str(server.make_url("")), find_s=find_s)
        yield gateway, asked
        await gateway.close()


@pytest.mark.parametrize("found", [False, True])
async def test_customer_with_payments_without_end_is_looked_through_so_far_and_then_searched(
    found: bool,
) -> None:
    """R22: what was not looked at is unknown; "not there" would charge again."""
    async with endless(found=found) as (gateway, asked):
        answer = await gateway.find(KEY, gateway.request_body(charge()))
    assert isinstance(answer, Succeeded if found else Unknown)
    assert asked == ["list"] * 10 + ["search"]


async def test_looking_through_a_customer_ends_well_before_the_lease_and_knows_nothing() -> None:
    """R22: or two workers would talk to the gateway about one attempt."""
    async with endless(hangs_at_page=3, find_s=0.2) as (gateway, asked):
        answer = await gateway.find(KEY, gateway.request_body(charge()))
    assert isinstance(answer, Unknown)
    assert asked == ["list"] * 3
    two_calls_s = 2 * CALL_S + 3 * PATIENCE_S
    assert FIND_S + two_calls_s < CollectPolicy().lease.total_seconds()


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("insufficient_funds", "soft"),
        ("do_not_honor", "soft"),
        ("processing_error", "soft"),
        ("a_code_of_next_year", "soft"),
        ("lost_card", "hard"),
        ("stolen_card", "hard"),
        ("pickup_card", "hard"),
        ("expired_card", "hard"),
        ("revocation_of_all_authorizations", "hard"),
        ("authentication_required", "hard"),
    ],
)
async def test_decline_codes_are_soft_or_hard(code: str, kind: str) -> None:
    """R34"""
    async with stripe_bench() as bench:
        answer = await ask(bench, Fault("decline", code))
        assert isinstance(answer, Declined)
        assert (answer.code, answer.kind) == (code, kind)
        assert answer.reference == "pi_" + "1".zfill(24)


class Inbox:
    """A front end that reads webhooks."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.events: list[PaymentReported] = []

    async def take(self, payload: bytes, signature: str) -> None:
        event = read_webhook(payload, signature, SECRET, self.now)
        if event is not None:
            self.events.append(event)


async def test_webhooks_are_read_with_what_they_say_of_our_payment() -> None:
    async with stripe_bench() as bench:
        await ask(bench, Fault("decline", "lost_card"))
        inbox = Inbox(bench.clock.now())
        await bench.fake.events.deliver(inbox.take)
        (event,) = inbox.events
        assert (event.attempt_key, event.result, event.decline_code) == (
            KEY,
            "declined",
            "lost_card",
        )
        assert tenant_of_key(event.attempt_key) == "acme"


async def test_forged_and_old_webhooks_are_refused() -> None:
    async with stripe_bench() as bench:
        await ask(bench)
        payload = bench.fake.events.log[0].payload()
        signature, now = bench.fake.events.sign(payload), bench.clock.now()
        for forged, header, secret, at in [
            (payload + b" ", signature, SECRET, now),
            (payload, signature, "whsec_other", now),
            (payload, "", SECRET, now),
            (payload, signature, SECRET, datetime(2026, 3, 1, 12, 5, 1, tzinfo=UTC)),
            (payload, signature, SECRET, datetime(2026, 3, 1, 11, 54, 59, tzinfo=UTC)),
            (b"[]", bench.fake.events.sign(b"[]"), SECRET, now),
            (b"{", bench.fake.events.sign(b"{"), SECRET, now),
        ]:
            with pytest.raises(WebhookRefused):
                read_webhook(forged, header, secret, at)


async def test_webhook_about_a_payment_of_somebody_else_says_nothing() -> None:
    async with stripe_bench() as bench:
        intent = {"id": "pi_1", "metadata": {}, "status": "succeeded"}
        bench.fake.events.add("payment_intent.succeeded", intent)
        bench.fake.events.add("invoice.created", {"id": "in_1", "metadata": {}})
        inbox = Inbox(bench.clock.now())
        await bench.fake.events.deliver(inbox.take)
        assert inbox.events == []


async def run(world: World, bench: StripeBench, *names: str, check_no: int = 0) -> object:
    handler = world.handler(bench.gateway)
    event = CollectPayments(charges=tuple(ref(name, check_no=check_no) for name in names))
    try:
        return await handler.handle(world.work(event))
    except Transient as error:
        return error


async def test_seeded_faults_and_shuffled_webhooks_charge_everybody_once(world: World) -> None:
    """R20, R23, R29, R30: whatever the gateway does, one charge and one ledger row each."""
    rates: dict[FaultKind, float] = {
        "error_after": 0.15,
        "reset_before": 0.1,
        "reset_after": 0.15,
        "conflict": 0.1,
        "too_many": 0.1,
    }
    names = [f"a{number:02}" for number in range(40)]
    async with stripe_bench() as bench:
        world.clock = bench.clock
        bench.fake._plan = FaultPlan(7, rates)
        for name in names:
            await world.seed(name, payment_method=f"cus_{name}/pm_{name}")
        for turn in range(12):
            await run(world, bench, *names, check_no=turn)
            await bench.fake.events.deliver(
                lambda payload, signature: _report(world, bench, payload, signature),
                copies=2,
                newest_first=turn % 2 == 0,
            )
            await bench.clock.advance(6 * HOUR_S)
        charged = Counter(one.key for one in bench.fake.charges)
    assert charged == Counter({key(name): 1 for name in names})
    assert len(await world.payments()) == len(names)
    assert await world.rows("SELECT DISTINCT state FROM billing.bills") == [("paid",)]
    assert await world.rows("SELECT DISTINCT state FROM billing.accounts") == [("ACTIVE",)]


async def _report(world: World, bench: StripeBench, payload: bytes, signature: str) -> None:
    event = read_webhook(payload, signature, SECRET, bench.clock.now())
    assert event is not None
    finished = await world.handler(bench.gateway).handle(world.work(event))
    assert isinstance(finished, Finished)


async def test_payment_corrected_by_the_bank_is_taken_back_by_its_webhook(world: World) -> None:
    """R31"""
    async with stripe_bench() as bench:
        world.clock = bench.clock
        await world.seed("a1", payment_method="cus_a1/pm_a1")
        await run(world, bench, "a1")
        bench.fake.correct("pi_" + "1".zfill(24), "declined", "insufficient_funds")
        await bench.fake.events.deliver(
            lambda payload, signature: _report(world, bench, payload, signature), newest_first=True
        )
        assert [kind for kind, *_ in await world.payments()] == ["payment", "reversal"]
        assert await world.owed_minor() == 2985


async def test_redelivery_after_the_key_expired_at_the_gateway_asks_first(world: World) -> None:
    """R22"""
    async with stripe_bench(timeout_s=0.3) as bench:
        world.clock = bench.clock
        await world.seed("a1", payment_method="cus_a1/pm_a1")
        bench.fake.script("pm_a1", Fault("hang_after"))
        await run(world, bench, "a1")
        await bench.clock.advance(30 * HOUR_S)
        await run(world, bench, "a1", check_no=1)
        assert [verb for verb, _ in bench.fake.requests] == ["charge", "list"]
        assert len(bench.fake.charged(KEY)) == 1
        assert (await world.bill()).state == "paid"
