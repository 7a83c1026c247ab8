"""Makes the sketches of buckets that have had events since, and of no other.

`billfleet sweep analytics` and every reader of sketches run it. A bucket is held while its sketches
are made, so an event that comes meanwhile makes it dirty again; run twice or at the same time, it
makes nothing twice (R74).
"""

from billfleet_db import Database, analytics
from billfleet_workers.handlers.analytics.sketching import amounts_sketch, customers_sketch
from billfleet_workers.handlers.unit_of_work import transaction
from billfleet_workers.runtime.clock import Clock

PAGE_BUCKETS = 200


async def refresh_sketches(database: Database, clock: Clock, tenant: str | None = None) -> int:
    """Make every stale sketch; returns how many buckets that were."""
    made = 0
    while True:
        page = await _refresh_page(database, clock, tenant)
        made += page
        if page < PAGE_BUCKETS:
            return made


async def _refresh_page(database: Database, clock: Clock, tenant: str | None) -> int:
    async with transaction(database) as connection:
        await analytics.see_tenant(connection, tenant or analytics.ALL_TENANTS)
        keys = await analytics.sketches.dirty(connection, tenant_id=tenant, limit=PAGE_BUCKETS)
        material = await analytics.sketches.material_of(connection, keys)
        made = [
            (one.key, customers_sketch(one.customers), amounts_sketch(one.amounts_minor))
            for one in material
        ]
        await analytics.sketches.put(connection, made, now=clock.now())
    return len(keys)
