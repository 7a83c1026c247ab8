"""A gateway in memory: the twin of the real one, for tests and simulations.

It keeps keys for 24 hours of its clock, replays what it saved for a key, and refuses other
parameters under a known key. `script` says what the next calls do; `charges` is every time that
money moved, so that a test can say that nobody paid twice.
"""

import json
from collections import defaultdict, deque
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from billfleet_workers.runtime.clock import Clock
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

KEY_LIFE = timedelta(hours=24)


@dataclass(frozen=True, slots=True)
class Step:
    """What one call does: the answer that it gives, and whether the money moved all the same."""

    answer: Declined | Unknown | NotSent | Busy | Literal["succeed"] = "succeed"
    charges_anyway: bool = False


@dataclass(frozen=True, slots=True)
class MovedMoney:
    """One charge that really happened."""

    key: str
    body: str
    reference: str
    at: datetime


@dataclass(slots=True)
class _Saved:
    body: str
    answer: GatewayAnswer
    at: datetime


class MemoryGateway:
    """Charges succeed unless the script of their payment method says otherwise."""

    name = "memory"

    def __init__(self, clock: Clock, *, minimum_minor: int = 50) -> None:
        self._clock = clock
        self._minimum_minor = minimum_minor
        self._steps: defaultdict[str, deque[Step]] = defaultdict(deque)
        self._saved: dict[str, _Saved] = {}
        self._known: dict[str, Succeeded | Declined] = {}
        self.charges: list[MovedMoney] = []
        self.calls: list[tuple[Literal["charge", "find"], str]] = []

    def script(self, payment_method: str, *steps: Step) -> None:
        """Say what the next calls for this payment method do; after them, charges succeed."""
        self._steps[payment_method].extend(steps)

    def settle(self, key: str, result: Succeeded | Declined) -> None:
        """Change what the gateway says became of the key, as a bank does days later."""
        self._known[key] = result

    def forget(self, key: str) -> None:
        """Know nothing of the key when asked."""
        self._known.pop(key, None)

    def minimum_minor(self, currency: str) -> int:  # noqa: ARG002 - the same for every currency
        """What the constructor was given."""
        return self._minimum_minor

    def objection(self, charge: Charge) -> str | None:
        """A payment method and the minimum are needed."""
        if charge.payment_method is None:
            return "no_payment_method"
        below = charge.amount_minor < self.minimum_minor(charge.currency)
        return "below_minimum" if below else None

    def decline_kind(self, code: str) -> DeclineKind:
        """Hard where the code says so."""
        return "hard" if code in {"stolen_card", "lost_card"} else "soft"

    def request_body(self, charge: Charge) -> str:
        """The charge as JSON."""
        fields = (charge.key, charge.payment_method, charge.amount_minor, charge.currency)
        return json.dumps(dict(zip(("key", "method", "amount", "currency"), fields, strict=True)))

    async def charge(self, key: str, body: str) -> GatewayAnswer:
        """Replay the key, or do the next step of the script."""
        self.calls.append(("charge", key))
        saved = self._saved.get(key)
        if saved is not None and self._clock.now() - saved.at < KEY_LIFE:
            return saved.answer if saved.body == body else Unknown("other parameters for this key")
        steps = self._steps[str(json.loads(body)["method"])]
        return self._do(key, body, steps.popleft() if steps else Step())

    async def find(self, key: str, body: str) -> GatewayAnswer | None:  # noqa: ARG002 - the port's
        """What is known of the key."""
        self.calls.append(("find", key))
        return self._known.get(key)

    async def ping(self) -> None:
        """It is always there."""

    async def close(self) -> None:
        """There is nothing to let go of."""

    def _do(self, key: str, body: str, step: Step) -> GatewayAnswer:
        if step.answer == "succeed" or step.charges_anyway:
            reference = f"mem_{len(self.charges) + 1}"
            self.charges.append(MovedMoney(key, body, reference, self._clock.now()))
            self._known[key] = Succeeded(reference)
        answer = self._known[key] if step.answer == "succeed" else step.answer
        if isinstance(answer, Declined):
            self._known[key] = answer
        # An answer lost on the way was still saved by the gateway under what really happened.
        lost = isinstance(answer, Unknown) and step.charges_anyway
        if not isinstance(answer, NotSent | Busy):
            kept = self._known[key] if lost else answer
            self._saved[key] = _Saved(body, kept, self._clock.now())
        return answer
