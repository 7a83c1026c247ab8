"""Deciding: from what happened to what follows. Pure; delivery acts on it.

The only randomness is the jitter, drawn by the caller and passed in as a number from 0 to 1.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

import orjson

from billfleet_contracts import CATALOGUE, QueueSpec
from billfleet_workers.runtime.errors import (
    DeliveryError,
    Misconfigured,
    Permanent,
    Transient,
    Unavailable,
)
from billfleet_workers.runtime.handling import Finished
from billfleet_workers.runtime.outcome import Done, Duplicate, Outcome, Poison, Retry
from billfleet_workers.runtime.ports.dedupe import (
    AlreadyDone,
    ClaimAnswer,
    Claimed,
    InProgress,
)

LEASE_MARGIN_S = 1.0
OUTAGE_RETRY_CAP_S = 20.0
FIFO_ATTEMPTS_MAX = 8


@dataclass(frozen=True, slots=True)
class DeliveryPolicy:
    """How long things may take and how often they are tried, for one queue.

    `attempts_max` stays below the queue's own maximum receive count, so that a message is buried
    by us, with a reason, before SQS moves it without one.
    """

    visibility_timeout_s: int
    lease_s: float
    deadline_s: float
    attempts_max: int
    retain_s: int
    deadlines_s: Mapping[str, float] = field(default_factory=dict)
    """By event type, where it differs from `deadline_s`."""
    backoff_base_s: float = 2.0
    backoff_cap_s: float = 900.0

    @classmethod
    def of(cls, spec: QueueSpec, *, retain_s: int, lease_s: int | None = None) -> "DeliveryPolicy":
        """The policy that follows from a queue's entry in the catalogue.

        `lease_s` replaces the queue's visibility timeout: shorter means that the work of a
        worker that died is taken over sooner, and costs more heartbeats.
        """
        held_s = lease_s or spec.visibility_timeout_s
        return cls(
            visibility_timeout_s=held_s,
            lease_s=held_s,
            deadline_s=spec.visibility_timeout_s * 5,
            deadlines_s={
                entry.type: entry.deadline_s
                for entry in CATALOGUE.values()
                if entry.route.name == spec.name and entry.deadline_s is not None
            },
            attempts_max=FIFO_ATTEMPTS_MAX if spec.fifo else max(1, spec.max_receive_count - 2),
            retain_s=retain_s,
            backoff_cap_s=spec.retry_cap_s,
        )


def deadline_of(event_type: str, policy: DeliveryPolicy) -> float:
    """How long a handler may take for a message of this type, from its receive."""
    return policy.deadlines_s.get(event_type, policy.deadline_s)


def backoff_s(receive_count: int, policy: DeliveryPolicy, jitter: float) -> float:
    """Full-jitter exponential backoff, never under a second.

    Source: M. Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog, 2015.
    """
    # The exponent is bounded before the power is taken: a receive count has no upper limit.
    exponent = min(max(receive_count - 1, 0), 30)
    ceiling_s = min(policy.backoff_cap_s, policy.backoff_base_s * 2.0**exponent)
    return max(1.0, jitter * ceiling_s)


def decide(
    result: Finished | BaseException, tries: int, policy: DeliveryPolicy, jitter: float
) -> Outcome:
    """What follows from a handler's result."""
    if isinstance(result, Finished):
        return Done(note=note_text(result))
    reason, name = reason_of(result), type(result).__name__
    if isinstance(result, Permanent):
        return Poison(reason, name)
    if isinstance(result, Unavailable):
        # The message did nothing wrong: an outage never makes poison of it. The gate keeps it from
        # being received while the outage lasts, so it need not stay away long; only what a probe
        # does not see, a missing grant for example, is given more time.
        is_seen_by_probe = not isinstance(result, Misconfigured)
        cap_s = OUTAGE_RETRY_CAP_S if is_seen_by_probe else policy.backoff_cap_s
        return Retry(min(cap_s, backoff_s(tries, policy, jitter)), reason, name)
    if isinstance(result, asyncio.CancelledError):
        return Retry(0.0, "handed back while draining", name)
    if tries >= policy.attempts_max:
        return Poison(f"gave up after {tries} tries: {reason}", name)
    after_s = backoff_s(tries, policy, jitter)
    if isinstance(result, Transient) and result.retry_after_s is not None:
        after_s = result.retry_after_s
    return Retry(min(after_s, policy.backoff_cap_s), reason, name)


def decide_claim(answer: ClaimAnswer, now: datetime) -> Outcome | None:
    """What follows from a claim's answer. None: the work is ours to do."""
    match answer:
        case Claimed():
            return None
        case AlreadyDone(completed_at=completed_at, note=note):
            return Duplicate(completed_at, note)
        case InProgress(lease_until=lease_until):
            wait_s = max(0.0, (lease_until - now).total_seconds()) + LEASE_MARGIN_S
            return Retry(wait_s, "another delivery of this work is in progress", "InProgress")
        case _:
            return Poison(
                "the dedupe key is already used by a message with another payload",
                "PayloadMismatch",
            )


def reason_of(error: BaseException) -> str:
    """An error in one line for an operator."""
    if isinstance(error, DeliveryError):
        return error.reason
    if isinstance(error, TimeoutError):
        return "the handler ran past its deadline"
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__


def note_text(finished: Finished) -> str:
    """A handler's note as compact JSON with sorted keys."""
    return orjson.dumps(dict(finished.note), option=orjson.OPT_SORT_KEYS).decode()
