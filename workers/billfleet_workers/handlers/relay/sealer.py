"""The sealer: committed ledger rows are put under the hash chain, behind the hot path.

It runs beside the relay, every minute, for every tenant. Two sealers do no harm: each seal is made
under the tenant's lock. The log keeps each newest hash outside the database, where whoever can
rewrite the database can't reach it.
"""

import structlog

from billfleet_db import Database
from billfleet_db.seals import seal
from billfleet_db.tenants import all_tenants
from billfleet_workers.handlers.unit_of_work import transaction
from billfleet_workers.runtime.clock import Clock
from billfleet_workers.runtime.errors import DeliveryError


class Sealer:
    """Seals every tenant's ledger, again and again."""

    def __init__(self, database: Database, clock: Clock, *, every_s: float) -> None:
        self._database = database
        self._clock = clock
        self._every_s = every_s
        self._log = structlog.get_logger("billfleet.sealer")

    async def run(self) -> None:
        """Seal for ever; an outage is waited out."""
        while True:
            try:
                await self.seal_all()
            except DeliveryError as error:
                self._log.warning("sealer_waits", reason=error.reason)
            await self._clock.sleep(self._every_s)

    async def seal_all(self) -> int:
        """Seal what is committed of every tenant; returns how many rows that was."""
        async with transaction(self._database) as connection:
            tenants = await all_tenants(connection)
        return sum([await self._seal(tenant.tenant_id) for tenant in tenants])

    async def _seal(self, tenant_id: str) -> int:
        rows = 0
        while True:
            async with transaction(self._database) as connection:
                made = await seal(connection, tenant_id)
            if made is None:
                return rows
            rows += made.rows
            self._log.info(
                "sealed",
                tenant=tenant_id,
                seal_no=made.seal_no,
                rows=made.rows,
                last_transfer_id=made.last_transfer_id,
                hash=made.hash.hex(),
            )
