"""Programmes with their versions of rules, rewards, vouchers; brands and stores that they hang on.

Called by the loyalty worker and by the commands that set a programme up. Rules are JSON here: what
they mean is the caller's business.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from sqlalchemy import RowMapping, text
from sqlalchemy.ext.asyncio import AsyncConnection


@dataclass(frozen=True, slots=True)
class RulesVersion:
    """One version of a programme's rules."""

    version: int
    valid_from: datetime
    rules: Mapping[str, object]

    @property
    def as_json(self) -> str:
        """The rules as JSON."""
        return json.dumps(dict(self.rules))


@dataclass(frozen=True, slots=True)
class Reward:
    """What points or a voucher can be exchanged for; None of `stock`: without limit."""

    reward_id: str
    name: str
    points: int | None = None
    stock: int | None = None
    tiers: Sequence[str] = ()
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    per_card_max: int | None = None


@dataclass(frozen=True, slots=True)
class Voucher:
    """A full stamp card that is still good."""

    voucher_id: str
    reward_id: str
    stamps: int
    issued_at: datetime


_RULES = "SELECT version, valid_from, CAST(rules AS text) AS rules FROM loyalty.programme_rules"
_RULES_AT = text(f"""{_RULES}
    WHERE tenant_id = :tenant_id AND programme_id = :programme_id AND valid_from <= :at
    ORDER BY valid_from DESC LIMIT 1
""")
_RULES_OF = text(f"""{_RULES}
    WHERE tenant_id = :tenant_id AND programme_id = :programme_id AND version = :version
""")
_ADD_RULES = text("""
    INSERT INTO loyalty.programme_rules
      (tenant_id, programme_id, version, valid_from, rules, work_id)
    VALUES (:tenant_id, :programme_id, :version, :valid_from, CAST(:rules AS jsonb), :work_id)
    ON CONFLICT (tenant_id, programme_id, version) DO NOTHING
""")
_EXISTS = text("""
    SELECT EXISTS (SELECT FROM loyalty.programmes
                   WHERE tenant_id = :tenant_id AND programme_id = :programme_id)
""")
_ENSURE = text("""
    INSERT INTO loyalty.programmes (tenant_id, programme_id, brand_id, name)
    VALUES (:tenant_id, :programme_id, :brand_id, :name) ON CONFLICT DO NOTHING
""")
_SET_WARNINGS = text("""
    UPDATE loyalty.programmes SET warn_days = CAST(:warn_days AS integer[])
    WHERE tenant_id = :tenant_id AND programme_id = :programme_id
""")
_ENSURE_BRAND = text("""
    INSERT INTO business.brands (tenant_id, brand_id, name) VALUES (:tenant_id, :brand_id, :name)
    ON CONFLICT DO NOTHING
""")
_ENSURE_STORES = text("""
    INSERT INTO business.stores (tenant_id, store_id, brand_id, name)
    SELECT :tenant_id, s, :brand_id, s FROM unnest(CAST(:store_ids AS text[])) AS s
    ON CONFLICT DO NOTHING
""")
_BRAND_OF_STORE = text("""
    SELECT brand_id FROM business.stores WHERE tenant_id = :tenant_id AND store_id = :store_id
""")
_SET_REWARD = text("""
    INSERT INTO loyalty.rewards (tenant_id, programme_id, reward_id, name, points, stock, tiers,
                                 starts_at, ends_at, per_card_max)
    VALUES (:tenant_id, :programme_id, :reward_id, :name, :points, :stock,
            CAST(:tiers AS text[]), :starts_at, :ends_at, :per_card_max)
    ON CONFLICT (tenant_id, programme_id, reward_id) DO UPDATE SET
      name = excluded.name, points = excluded.points, stock = excluded.stock,
      tiers = excluded.tiers, starts_at = excluded.starts_at, ends_at = excluded.ends_at,
      per_card_max = excluded.per_card_max
""")
_LOCK_REWARD = text("""
    SELECT reward_id, name, points, stock, tiers, starts_at, ends_at, per_card_max
    FROM loyalty.rewards
    WHERE tenant_id = :tenant_id AND programme_id = :programme_id AND reward_id = :reward_id
    FOR NO KEY UPDATE
""")
_STOCK = text("""
    UPDATE loyalty.rewards SET stock = stock + :change
    WHERE tenant_id = :tenant_id AND programme_id = :programme_id AND reward_id = :reward_id
      AND stock IS NOT NULL
""")
_VOUCHERS = text("""
    SELECT voucher_id, reward_id, stamps, issued_at FROM loyalty.vouchers
    WHERE tenant_id = :tenant_id AND card_id = :card_id AND state = 'open'
    ORDER BY issued_at, voucher_id
""")
_ADD_VOUCHERS = text("""
    INSERT INTO loyalty.vouchers
      (tenant_id, voucher_id, card_id, reward_id, issued_by, stamps, issued_at)
    SELECT :tenant_id, v, :card_id, :reward_id, :issued_by, :stamps, :now
    FROM unnest(CAST(:voucher_ids AS text[])) AS v
""")
_USE_VOUCHER = text("""
    UPDATE loyalty.vouchers SET state = 'used', used_by = :used_by
    WHERE tenant_id = :tenant_id AND voucher_id = :voucher_id AND state = 'open'
""")
_VOID_VOUCHERS = text("""
    UPDATE loyalty.vouchers SET state = 'void'
    WHERE tenant_id = :tenant_id AND voucher_id = ANY(CAST(:voucher_ids AS text[]))
      AND state = 'open'
""")
_REOPEN_VOUCHER = text("""
    UPDATE loyalty.vouchers SET state = 'open', used_by = NULL
    WHERE tenant_id = :tenant_id AND used_by = :used_by AND state = 'used'
""")


async def rules_at(
    connection: AsyncConnection, tenant_id: str, programme_id: str, at: datetime
) -> RulesVersion | None:
    """The rules that were valid at that time."""
    values = {"tenant_id": tenant_id, "programme_id": programme_id, "at": at}
    return _version((await connection.execute(_RULES_AT, values)).mappings().one_or_none())


async def rules_of(
    connection: AsyncConnection, tenant_id: str, programme_id: str, version: int
) -> RulesVersion | None:
    """The rules of one version."""
    values = {"tenant_id": tenant_id, "programme_id": programme_id, "version": version}
    return _version((await connection.execute(_RULES_OF, values)).mappings().one_or_none())


async def add_rules(
    connection: AsyncConnection,
    tenant_id: str,
    programme_id: str,
    new: RulesVersion,
    *,
    work_id: str,
) -> bool:
    """Add a version; False where it is there already, unchanged."""
    values = {
        "tenant_id": tenant_id,
        "programme_id": programme_id,
        "version": new.version,
        "valid_from": new.valid_from,
        "rules": json.dumps(dict(new.rules)),
        "work_id": work_id,
    }
    return (await connection.execute(_ADD_RULES, values)).rowcount == 1


async def exists(connection: AsyncConnection, tenant_id: str, programme_id: str) -> bool:
    """Whether the tenant has such a programme."""
    values = {"tenant_id": tenant_id, "programme_id": programme_id}
    return bool((await connection.execute(_EXISTS, values)).scalar_one())


async def ensure(
    connection: AsyncConnection,
    tenant_id: str,
    programme_id: str,
    *,
    brand_id: str,
    name: str,
    store_ids: Sequence[str] = (),
) -> None:
    """Create brand, stores and programme where they are missing."""
    base = {"tenant_id": tenant_id, "brand_id": brand_id}
    await connection.execute(_ENSURE_BRAND, base | {"name": brand_id})
    await connection.execute(_ENSURE_STORES, base | {"store_ids": sorted(store_ids)})
    await connection.execute(_ENSURE, base | {"programme_id": programme_id, "name": name})


async def set_warnings(
    connection: AsyncConnection, tenant_id: str, programme_id: str, warn_days: Sequence[int]
) -> None:
    """Set how many days before points end their card is warned; none: never."""
    values = {"tenant_id": tenant_id, "programme_id": programme_id}
    await connection.execute(_SET_WARNINGS, values | {"warn_days": sorted(set(warn_days))})


async def brand_of_store(connection: AsyncConnection, tenant_id: str, store_id: str) -> str | None:
    """The brand that a store belongs to; None where the tenant has no such store."""
    values = {"tenant_id": tenant_id, "store_id": store_id}
    found: str | None = (await connection.execute(_BRAND_OF_STORE, values)).scalar_one_or_none()
    return found


async def set_reward(
    connection: AsyncConnection, tenant_id: str, programme_id: str, reward: Reward
) -> None:
    """Create or replace a reward."""
    values = asdict(reward) | {"tiers": list(reward.tiers)}
    await connection.execute(
        _SET_REWARD, values | {"tenant_id": tenant_id, "programme_id": programme_id}
    )


async def lock_reward(
    connection: AsyncConnection, tenant_id: str, programme_id: str, reward_id: str
) -> Reward | None:
    """Lock a reward, after its card; None where the programme has no such reward."""
    values = {"tenant_id": tenant_id, "programme_id": programme_id, "reward_id": reward_id}
    row = (await connection.execute(_LOCK_REWARD, values)).mappings().one_or_none()
    return None if row is None else Reward(**row)


async def change_stock(
    connection: AsyncConnection, tenant_id: str, programme_id: str, reward_id: str, change: int
) -> None:
    """Add to the stock of a reward that has one."""
    values = {"tenant_id": tenant_id, "programme_id": programme_id, "reward_id": reward_id}
    await connection.execute(_STOCK, values | {"change": change})


async def open_vouchers(connection: AsyncConnection, tenant_id: str, card_id: str) -> list[Voucher]:
    """The card's vouchers that are still good, oldest first."""
    values = {"tenant_id": tenant_id, "card_id": card_id}
    found = (await connection.execute(_VOUCHERS, values)).mappings()
    return [Voucher(**row) for row in found]


async def add_vouchers(
    connection: AsyncConnection,
    tenant_id: str,
    card_id: str,
    *,
    voucher_ids: Sequence[str],
    reward_id: str,
    issued_by: str,
    stamps: int,
    now: datetime,
) -> None:
    """Create vouchers, each for a full card of so many stamps."""
    values = {
        "tenant_id": tenant_id,
        "card_id": card_id,
        "voucher_ids": list(voucher_ids),
        "reward_id": reward_id,
        "issued_by": issued_by,
        "stamps": stamps,
        "now": now,
    }
    await connection.execute(_ADD_VOUCHERS, values)


async def use_voucher(
    connection: AsyncConnection, tenant_id: str, voucher_id: str, *, used_by: str
) -> bool:
    """Use a voucher up; False where it is no longer open."""
    values = {"tenant_id": tenant_id, "voucher_id": voucher_id, "used_by": used_by}
    return (await connection.execute(_USE_VOUCHER, values)).rowcount == 1


async def void_vouchers(
    connection: AsyncConnection, tenant_id: str, voucher_ids: Sequence[str]
) -> None:
    """Make open vouchers worthless."""
    values = {"tenant_id": tenant_id, "voucher_ids": list(voucher_ids)}
    await connection.execute(_VOID_VOUCHERS, values)


async def reopen_voucher(connection: AsyncConnection, tenant_id: str, *, used_by: str) -> None:
    """Give back the voucher that a redemption used."""
    await connection.execute(_REOPEN_VOUCHER, {"tenant_id": tenant_id, "used_by": used_by})


def _version(row: RowMapping | None) -> RulesVersion | None:
    if row is None:
        return None
    version, valid_from = row["version"], row["valid_from"]
    if not isinstance(version, int) or not isinstance(valid_from, datetime):
        raise TypeError("a version of rules is not as this program wrote it")
    return RulesVersion(version, valid_from, json.loads(str(row["rules"])))
