"""Deciding is pure: a table of what happened and what follows."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billfleet_contracts import QUEUES, QueueSpec
from billfleet_workers.runtime.errors import Misconfigured, Permanent, Transient, Unavailable
from billfleet_workers.runtime.fingerprint import fingerprint
from billfleet_workers.runtime.handling import Finished
from billfleet_workers.runtime.outcome import Done, Duplicate, Poison, Retry
from billfleet_workers.runtime.policy import (
    DeliveryPolicy,
    backoff_s,
    deadline_of,
    decide,
    decide_claim,
)
from billfleet_workers.runtime.ports.dedupe import (
    AlreadyDone,
    ClaimAnswer,
    Claimed,
    InProgress,
    PayloadMismatch,
)

POLICY = DeliveryPolicy(
    visibility_timeout_s=60, lease_s=60, deadline_s=300, attempts_max=8, retain_s=86400
)
NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("result", "receive_count", "outcome"),
    [
        (Finished({"b": 2, "a": 1}), 1, Done('{"a":1,"b":2}')),
        (Finished(), 99, Done("{}")),
        (Permanent("no"), 1, Poison("no", "Permanent")),
        (Transient("busy", retry_after_s=7), 1, Retry(7, "busy", "Transient")),
        (Transient("busy", retry_after_s=7000), 1, Retry(900, "busy", "Transient")),
        (Transient("busy"), 3, Retry(8.0, "busy", "Transient")),
        (
            Transient("busy"),
            8,
            Poison("gave up after 8 tries: busy", "Transient"),
        ),
        (TimeoutError(), 1, Retry(2.0, "the handler ran past its deadline", "TimeoutError")),
        (ValueError("x"), 1, Retry(2.0, "ValueError: x", "ValueError")),
        (
            Unavailable("postgresql", "gone"),
            99,
            Retry(20.0, "postgresql is unavailable: gone", "Unavailable"),
        ),
        (
            Misconfigured("postgresql", "no grant"),
            99,
            Retry(900.0, "postgresql is set up wrongly: no grant", "Misconfigured"),
        ),
        (
            asyncio.CancelledError(),
            99,
            Retry(0.0, "handed back while draining", "CancelledError"),
        ),
    ],
)
def test_a_result_has_one_outcome(
    result: Finished | BaseException, receive_count: int, outcome: object
) -> None:
    assert decide(result, receive_count, POLICY, 1.0) == outcome


@given(st.integers(0, 10**9), st.floats(0, 1))
def test_backoff_is_between_a_second_and_the_cap(receive_count: int, jitter: float) -> None:
    assert 1.0 <= backoff_s(receive_count, POLICY, jitter) <= POLICY.backoff_cap_s


@given(st.integers(1, 9), st.floats(0, 1))
def test_backoff_is_full_jitter_under_an_exponential_ceiling(
    receive_count: int, jitter: float
) -> None:
    ceiling_s = 2.0**receive_count
    assert backoff_s(receive_count, POLICY, jitter) == max(1.0, jitter * ceiling_s)


@pytest.mark.parametrize(
    ("answer", "outcome"),
    [
        (Claimed(), None),
        (AlreadyDone(NOW, "n"), Duplicate(NOW, "n")),
        (
            InProgress(NOW + timedelta(seconds=30)),
            Retry(31.0, "another delivery of this work is in progress", "InProgress"),
        ),
        (
            InProgress(NOW - timedelta(seconds=30)),
            Retry(1.0, "another delivery of this work is in progress", "InProgress"),
        ),
    ],
)
def test_a_claim_has_one_consequence(answer: ClaimAnswer, outcome: object) -> None:
    assert decide_claim(answer, NOW) == outcome


def test_a_mismatch_is_poison() -> None:
    assert isinstance(decide_claim(PayloadMismatch("h"), NOW), Poison)


@pytest.mark.parametrize("spec", QUEUES.values(), ids=lambda spec: spec.name)
def test_we_bury_with_a_reason_before_sqs_moves_without_one(spec: QueueSpec) -> None:
    policy = DeliveryPolicy.of(spec, retain_s=1)
    assert 1 <= policy.attempts_max < spec.max_receive_count
    assert policy.lease_s <= policy.deadline_s


def test_the_same_mistake_has_one_fingerprint_whatever_the_ids() -> None:
    first = fingerprint("Permanent", "account 'A-1' of 2026-01-31 not found (id 5f3e9a0c11)")
    second = fingerprint("Permanent", "account 'B-22' of 2025-12-01 not found (id 77aa01bc9d)")
    assert first == second
    assert fingerprint("Permanent", "another") != first
    assert fingerprint("Transient", "account 'A-1' not found") != first


def test_a_type_may_have_a_deadline_of_its_own() -> None:
    policy = DeliveryPolicy.of(QUEUES["rebill"], retain_s=1)
    assert deadline_of("billfleet.billing.rebill_accounts.v1", policy) == 120
    assert deadline_of("undecodable", policy) == policy.deadline_s == 300
