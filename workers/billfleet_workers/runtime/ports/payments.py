"""The payments port: ask a gateway to charge somebody, and ask it what became of a charge.

The collect handler is its caller. `request_body` is pure: the handler saves its answer together
with the key before `charge` sends exactly that, so that the same key always carries the same
parameters. Whatever happens on the wire comes back as an answer and not as an exception, because
each kind of trouble is recorded differently; only a gateway that refuses our own credentials
raises `Unavailable`.
"""

from dataclasses import dataclass
from datetime import date
from typing import Literal, Protocol

DeclineKind = Literal["soft", "hard"]


@dataclass(frozen=True, slots=True)
class Charge:
    """Money that an account owes for one period. The amount is in ISO 4217 minor units."""

    key: str
    tenant: str
    account_id: str
    period_start: date
    amount_minor: int
    currency: str
    payment_method: str | None
    description: str


@dataclass(frozen=True, slots=True)
class Succeeded:
    """The money was taken. `reference` is the gateway's own name for the payment."""

    reference: str | None


@dataclass(frozen=True, slots=True)
class Declined:
    """The money was refused. `hard`: the same payment method can't work again."""

    code: str
    kind: DeclineKind
    reference: str | None = None


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nobody can say whether the money was taken: a timeout, a reset, an error of the gateway."""

    reason: str


@dataclass(frozen=True, slots=True)
class NotSent:
    """The request was never taken up, so this call has taken no money.

    `objection` is set where the same request would be refused for ever; it is the bill's note.
    """

    reason: str
    objection: str | None = None


@dataclass(frozen=True, slots=True)
class Busy:
    """The gateway asks for patience: too many requests, or this key is being worked on."""

    reason: str
    retry_after_s: float


GatewayAnswer = Succeeded | Declined | Unknown | NotSent | Busy


class PaymentGateway(Protocol):
    """One payment provider."""

    @property
    def name(self) -> str:
        """What attempts, events and metrics call it, for example `stripe`."""
        ...

    def minimum_minor(self, currency: str) -> int:
        """The smallest amount that it charges, in ISO 4217 minor units."""
        ...

    def objection(self, charge: Charge) -> str | None:
        """Why it can't be asked for this charge at all (`below_minimum`, …), or None."""
        ...

    def decline_kind(self, code: str) -> DeclineKind:
        """Whether a code that a webhook named is hard or soft."""
        ...

    def request_body(self, charge: Charge) -> str:
        """The canonical request to save before the call. Pure; only where nothing is objected."""
        ...

    async def charge(self, key: str, body: str) -> GatewayAnswer:
        """Charge under this key. The same key and body again never charge a second time.

        Raises:
            Unavailable: the gateway refuses our credentials; no charge was made.
        """
        ...

    async def find(self, key: str, body: str) -> GatewayAnswer | None:
        """What became of the key; None where the gateway knows nothing of it. Never charges.

        Raises:
            Unavailable: the gateway refuses our credentials.
        """
        ...

    async def ping(self) -> None:
        """Return when it would take a charge of ours; what the gate asks after a refusal.

        Raises:
            Unavailable: it can't be reached, or still refuses our credentials.
        """
        ...

    async def close(self) -> None:
        """Let go of connections. Safe to call twice."""
        ...
