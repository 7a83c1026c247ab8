"""Points that end soon, and the warnings that were given of them.

Called by the warnings sweep. A page of cards is warned by one statement; the table's key makes sure
that a card is warned once of an end and in each of its programme's windows. It decides nothing else
than what the columns say: `programmes.warn_days`, and the customer's latest word on warnings.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

BEGINNING = ("", "", datetime.min.replace(tzinfo=UTC))


@dataclass(frozen=True, slots=True)
class ExpiringPoints:
    """Points of a card that end at one instant, within one of its programme's windows."""

    tenant_id: str
    card_id: str
    expires_at: datetime
    warn_days: int
    points: int
    customer_id: str
    programme_id: str
    time_zone: str


# Of several windows the narrowest one counts: who was never warned is not told twice at once.
_DUE = text("""
    SELECT l.tenant_id, l.card_id, l.expires_at, w.warn_days,
           CAST(sum(l.remaining) AS bigint) AS points, c.customer_id, c.programme_id, t.time_zone
    FROM loyalty.lots l
    JOIN loyalty.cards c USING (tenant_id, card_id)
    JOIN loyalty.programmes p USING (tenant_id, programme_id)
    JOIN business.tenants t USING (tenant_id)
    CROSS JOIN LATERAL (
      SELECT min(day) AS warn_days FROM unnest(p.warn_days) AS day
      WHERE l.expires_at <= CAST(:at AS timestamptz) + day * interval '24 hours') w
    WHERE l.remaining > 0 AND l.expires_at > :at AND w.warn_days IS NOT NULL
      AND (l.tenant_id = :tenant_id OR CAST(:tenant_id AS text) IS NULL)
      AND NOT EXISTS (SELECT FROM loyalty.warnings x
                      WHERE x.tenant_id = l.tenant_id AND x.card_id = l.card_id
                        AND x.expires_at = l.expires_at AND x.warn_days = w.warn_days)
      AND coalesce((SELECT s.is_given FROM customer.consents s
                    WHERE s.tenant_id = l.tenant_id AND s.customer_id = c.customer_id
                      AND s.purpose = 'expiry_warnings'
                    ORDER BY s.decided_at DESC LIMIT 1), true)
      AND (l.tenant_id, l.card_id, l.expires_at)
          > (:after_tenant_id, :after_card_id, CAST(:after_expires_at AS timestamptz))
    GROUP BY l.tenant_id, l.card_id, l.expires_at, w.warn_days, c.customer_id, c.programme_id,
             t.time_zone
    ORDER BY l.tenant_id, l.card_id, l.expires_at
    LIMIT :limit
""")
_WARN = text("""
    INSERT INTO loyalty.warnings (tenant_id, card_id, expires_at, warn_days, points, warned_at)
    SELECT n.*, :now FROM unnest(
      CAST(:tenant_ids AS text[]), CAST(:card_ids AS text[]), CAST(:expires_ats AS timestamptz[]),
      CAST(:warn_days AS integer[]), CAST(:points AS bigint[])) AS n
    ON CONFLICT DO NOTHING RETURNING tenant_id, card_id, expires_at, warn_days
""")


async def due(
    connection: AsyncConnection,
    *,
    at: datetime,
    tenant_id: str | None = None,
    after: tuple[str, str, datetime] = BEGINNING,
    limit: int,
) -> list[ExpiringPoints]:
    """One page of warnings that were not given yet, in the order of (tenant, card, end)."""
    values = {
        "at": at,
        "tenant_id": tenant_id,
        "after_tenant_id": after[0],
        "after_card_id": after[1],
        "after_expires_at": after[2],
        "limit": limit,
    }
    found = await connection.execute(_DUE, values)
    return [ExpiringPoints(*row) for row in found]


async def give(
    connection: AsyncConnection, warned: Sequence[ExpiringPoints], *, now: datetime
) -> list[ExpiringPoints]:
    """Write warnings down; those that another sweep has given meanwhile are left out."""
    values = {
        "tenant_ids": [one.tenant_id for one in warned],
        "card_ids": [one.card_id for one in warned],
        "expires_ats": [one.expires_at for one in warned],
        "warn_days": [one.warn_days for one in warned],
        "points": [one.points for one in warned],
        "now": now,
    }
    new = {tuple(row) for row in await connection.execute(_WARN, values)}
    key = [field.name for field in fields(ExpiringPoints)][:4]
    return [one for one in warned if tuple(getattr(one, name) for name in key) in new]
