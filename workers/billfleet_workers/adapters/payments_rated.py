"""A payment gateway that asks the fleet's quota before each call.

`main` puts it around a gateway that limits how often it may be called. It waits a little for a
permit; when none comes, it answers `Busy`, which costs no attempt and no dunning step.
"""

from billfleet_workers.runtime.clock import Clock
from billfleet_workers.runtime.errors import Unavailable
from billfleet_workers.runtime.ports.payments import (
    Busy,
    Charge,
    DeclineKind,
    GatewayAnswer,
    PaymentGateway,
)
from billfleet_workers.runtime.ports.quota import Quota

PATIENCE_S = 5.0


class RatedGateway:
    """The gateway inside, at the fleet's rate."""

    def __init__(self, inside: PaymentGateway, quota: Quota, clock: Clock) -> None:
        self._inside = inside
        self._quota = quota
        self._clock = clock

    @property
    def name(self) -> str:
        """The name of the gateway inside."""
        return self._inside.name

    def minimum_minor(self, currency: str) -> int:
        """Of the gateway inside."""
        return self._inside.minimum_minor(currency)

    def objection(self, charge: Charge) -> str | None:
        """Of the gateway inside."""
        return self._inside.objection(charge)

    def decline_kind(self, code: str) -> DeclineKind:
        """Of the gateway inside."""
        return self._inside.decline_kind(code)

    def request_body(self, charge: Charge) -> str:
        """Of the gateway inside."""
        return self._inside.request_body(charge)

    async def charge(self, key: str, body: str) -> GatewayAnswer:
        """Charge when there is a permit, else `Busy`."""
        return await self._wait() or await self._inside.charge(key, body)

    async def find(self, key: str, body: str) -> GatewayAnswer | None:
        """Ask when there is a permit, else `Busy`."""
        return await self._wait() or await self._inside.find(key, body)

    async def ping(self) -> None:
        """A probe takes no permit: it runs while nothing else does."""
        await self._inside.ping()

    async def close(self) -> None:
        """Close the gateway inside."""
        await self._inside.close()

    async def _wait(self) -> Busy | None:
        waited_s = 0.0
        while True:
            try:
                wait_s = await self._quota.take(self.name)
            except Unavailable as error:
                return Busy(f"the shared rate can't be asked: {error.reason}", PATIENCE_S)
            if wait_s <= 0:
                return None
            if waited_s + wait_s > PATIENCE_S:
                return Busy("the fleet's shared rate is used up", PATIENCE_S)
            await self._clock.sleep(wait_s)
            waited_s += wait_s
