"""The default gateway: it writes each signal to the log and says yes.

For development, demonstrations, and fleets whose money moves elsewhere: somebody reads the
signals. It moves no money and keeps no record, so `find` knows nothing; charging again under a
key only repeats the signal, with the same reference.
"""

import hashlib
import json

import structlog

from billfleet_workers.runtime.ports.payments import (
    Charge,
    DeclineKind,
    GatewayAnswer,
    Succeeded,
)


class LogGateway:
    """Every charge succeeds. The reference is derived from the key."""

    name = "log"

    def __init__(self, log: structlog.stdlib.BoundLogger | None = None) -> None:
        self._log: structlog.stdlib.BoundLogger = log or structlog.get_logger("payments")

    def minimum_minor(self, currency: str) -> int:  # noqa: ARG002 - the same for every currency
        """A log line costs nothing."""
        return 1

    def objection(self, charge: Charge) -> str | None:
        """Only that there is nothing to charge."""
        return (
            "below_minimum" if charge.amount_minor < self.minimum_minor(charge.currency) else None
        )

    def decline_kind(self, code: str) -> DeclineKind:  # noqa: ARG002 - it never declines
        """Soft, like everything that is not known to be hard."""
        return "soft"

    def request_body(self, charge: Charge) -> str:
        """The signal as JSON."""
        signal = {
            "account_id": charge.account_id,
            "amount_minor": charge.amount_minor,
            "currency": charge.currency,
            "description": charge.description,
            "key": charge.key,
            "period_start": charge.period_start.isoformat(),
            "tenant": charge.tenant,
        }
        return json.dumps(signal, sort_keys=True, separators=(",", ":"))

    async def charge(self, key: str, body: str) -> GatewayAnswer:
        """Write the signal."""
        reference = "log_" + hashlib.sha256(key.encode()).hexdigest()[:24]
        self._log.info("payment_signal", key=key, reference=reference, request=body)
        return Succeeded(reference)

    async def find(self, key: str, body: str) -> GatewayAnswer | None:  # noqa: ARG002 - the port's
        """Nothing is kept, so nothing is found."""
        return None

    async def ping(self) -> None:
        """It is always there."""

    async def close(self) -> None:
        """There is nothing to let go of."""
