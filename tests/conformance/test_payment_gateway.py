"""The exam of the payments port: the real adapter over the fake gateway, its twin, and the log."""

from collections.abc import AsyncIterator

import pytest

from billfleet_workers.adapters.payments_log import LogGateway
from billfleet_workers.runtime.ports.payments import (
    Busy,
    Declined,
    PaymentGateway,
    Succeeded,
    Unknown,
)
from payment_benches import BENCHES, METHOD, Bench, charge, memory_bench, stripe_bench

KEY = "acme:a1:2026-03-01:1"


@pytest.fixture(params=BENCHES)
async def bench(request: pytest.FixtureRequest) -> AsyncIterator[Bench]:
    if request.param == "memory":
        yield memory_bench()
        return
    async with stripe_bench() as opened:
        yield opened


@pytest.fixture(params=[*BENCHES, "log"])
async def gateway(request: pytest.FixtureRequest) -> AsyncIterator[PaymentGateway]:
    if request.param == "log":
        yield LogGateway()
    elif request.param == "memory":
        yield memory_bench().gateway
    else:
        async with stripe_bench() as opened:
            yield opened.gateway


def test_request_body_is_the_same_text_for_the_same_charge(gateway: PaymentGateway) -> None:
    """R21: what is saved is what is sent, byte for byte."""
    assert gateway.request_body(charge()) == gateway.request_body(charge())
    assert gateway.request_body(charge()) != gateway.request_body(charge(amount_minor=2986))


async def test_charge_succeeds_with_a_reference(gateway: PaymentGateway) -> None:
    answer = await gateway.charge(KEY, gateway.request_body(charge()))
    assert isinstance(answer, Succeeded)
    assert answer.reference


async def test_same_key_again_gives_the_same_answer(gateway: PaymentGateway) -> None:
    """R21"""
    body = gateway.request_body(charge())
    assert await gateway.charge(KEY, body) == await gateway.charge(KEY, body)


def test_amount_below_the_minimum_is_objected_to(gateway: PaymentGateway) -> None:
    """R18"""
    minimum = gateway.minimum_minor("USD")
    assert gateway.objection(charge(amount_minor=minimum)) is None
    assert gateway.objection(charge(amount_minor=minimum - 1)) == "below_minimum"


async def test_closing_twice_is_fine(gateway: PaymentGateway) -> None:
    await gateway.charge(KEY, gateway.request_body(charge()))
    await gateway.close()
    await gateway.close()


async def test_same_key_again_charges_once(bench: Bench) -> None:
    """R21"""
    body = bench.gateway.request_body(charge())
    for _ in range(3):
        await bench.gateway.charge(KEY, body)
    assert bench.times_charged(KEY) == 1


async def test_other_parameters_under_a_known_key_charge_nothing_and_conclude_nothing(
    bench: Bench,
) -> None:
    """R21"""
    await bench.gateway.charge(KEY, bench.gateway.request_body(charge()))
    other = bench.gateway.request_body(charge(amount_minor=1))
    assert isinstance(await bench.gateway.charge(KEY, other), Unknown)
    assert bench.times_charged(KEY) == 1


async def test_decline_is_an_answer_with_its_code_and_kind(bench: Bench) -> None:
    """R26, R34"""
    bench.make_trouble("soft_decline", "hard_decline")
    body = bench.gateway.request_body(charge())
    soft = await bench.gateway.charge(KEY, body)
    hard = await bench.gateway.charge("acme:a1:2026-03-01:2", body)
    assert isinstance(soft, Declined)
    assert (soft.code, soft.kind) == ("insufficient_funds", "soft")
    assert isinstance(hard, Declined)
    assert (hard.code, hard.kind) == ("stolen_card", "hard")
    assert (bench.gateway.decline_kind("stolen_card"), bench.gateway.decline_kind("generic")) == (
        "hard",
        "soft",
    )


async def test_decline_is_replayed_for_its_key_and_a_new_key_can_pay(bench: Bench) -> None:
    """R26"""
    bench.make_trouble("soft_decline")
    body = bench.gateway.request_body(charge())
    assert isinstance(await bench.gateway.charge(KEY, body), Declined)
    assert isinstance(await bench.gateway.charge(KEY, body), Declined)
    second = "acme:a1:2026-03-01:2"
    assert isinstance(await bench.gateway.charge(second, body), Succeeded)


async def test_lost_answer_is_unknown_and_the_same_key_finds_the_payment(bench: Bench) -> None:
    """R23"""
    bench.make_trouble("lost_answer")
    body = bench.gateway.request_body(charge())
    assert isinstance(await bench.gateway.charge(KEY, body), Unknown)
    assert isinstance(await bench.gateway.find(KEY, body), Succeeded)
    assert isinstance(await bench.gateway.charge(KEY, body), Succeeded)
    assert bench.times_charged(KEY) == 1


async def test_server_error_is_replayed_until_the_key_is_forgotten(bench: Bench) -> None:
    """R21, R23: a saved 500 comes back for its key, and nothing was charged."""
    bench.make_trouble("error")
    body = bench.gateway.request_body(charge())
    assert isinstance(await bench.gateway.charge(KEY, body), Unknown)
    assert isinstance(await bench.gateway.charge(KEY, body), Unknown)
    assert bench.times_charged(KEY) == 0
    await bench.clock.advance(24 * 3600)
    assert isinstance(await bench.gateway.charge(KEY, body), Succeeded)


async def test_forgotten_key_charges_again_so_the_gateway_must_be_asked_first(bench: Bench) -> None:
    """R22: this is what the handler protects people from."""
    body = bench.gateway.request_body(charge())
    await bench.gateway.charge(KEY, body)
    await bench.clock.advance(24 * 3600)
    assert isinstance(await bench.gateway.find(KEY, body), Succeeded)
    assert bench.times_charged(KEY) == 1
    await bench.gateway.charge(KEY, body)
    assert bench.times_charged(KEY) == 2


async def test_busy_gateway_says_when_to_come_back_and_charges_nothing(bench: Bench) -> None:
    """R27"""
    bench.make_trouble("busy")
    body = bench.gateway.request_body(charge())
    answer = await bench.gateway.charge(KEY, body)
    assert isinstance(answer, Busy)
    assert answer.retry_after_s == 1.0
    assert bench.times_charged(KEY) == 0
    assert isinstance(await bench.gateway.charge(KEY, body), Succeeded)


async def test_finding_never_charges(bench: Bench) -> None:
    """R22"""
    body = bench.gateway.request_body(charge())
    assert await bench.gateway.find(KEY, body) is None
    assert bench.times_charged(KEY) == 0


async def test_declined_payment_is_found_as_declined(bench: Bench) -> None:
    """R22"""
    bench.make_trouble("hard_decline")
    body = bench.gateway.request_body(charge())
    await bench.gateway.charge(KEY, body)
    found = await bench.gateway.find(KEY, body)
    assert isinstance(found, Declined)
    assert (found.code, found.kind) == ("stolen_card", "hard")


def test_account_without_a_payment_method_is_objected_to(bench: Bench) -> None:
    assert bench.gateway.objection(charge(payment_method=None)) == "no_payment_method"
    assert bench.gateway.objection(charge(payment_method=METHOD)) is None
