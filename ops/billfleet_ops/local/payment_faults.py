"""What can go wrong with one charge at the fake payment gateway, scripted or by a seed.

`payment_gateway` does what a fault says; tests and soaks choose them. It knows no request.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

FaultKind = Literal[
    "none",
    "decline",  # 402 with the code, saved under the key
    "error_before",  # 500 before anything was charged, saved under the key
    "error_after",  # 500 although the money was taken, saved under the key
    "hang_before",  # no answer ever, and nothing charged
    "hang_after",  # no answer ever, although the money was taken
    "reset_before",  # the connection breaks, and nothing was charged
    "reset_after",  # the connection breaks after the money was taken
    "conflict",  # 409: another request under this key is being worked on
    "too_many",  # 429 with Retry-After
    "processing",  # the payment is neither taken nor refused yet
]


@dataclass(frozen=True, slots=True)
class Fault:
    """What one request for a charge does instead of simply succeeding."""

    kind: FaultKind = "none"
    code: str = "card_declined"
    retry_after_s: int = 1


@dataclass(slots=True)
class FaultPlan:
    """Random faults from a seed, for soaking: each kind with its probability."""

    seed: int
    rates: Mapping[FaultKind, float]
    _random: random.Random = field(init=False)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)  # noqa: S311 - faults, not secrets

    def next(self) -> Fault:
        """The fault of the next charge."""
        at = self._random.random()
        for kind, rate in self.rates.items():
            if at < rate:
                return Fault(kind)
            at -= rate
        return Fault()
