"""Programmes with their versions of rules, rewards, vouchers; brands and stores that they hang on.

Called by the loyalty worker and by the commands that set a programme up. Rules are JSON here: what
they mean is the caller's business.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
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


RewardKey = tuple[str, str]
"""Programme and reward."""


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
_COUNTS = text("""
    SELECT programme_id, count(*) FROM loyalty.programme_rules
    WHERE tenant_id = :tenant_id AND programme_id = ANY(CAST(:programme_ids AS text[]))
    GROUP BY programme_id
""")
_ALL_RULES = text(f"""{_RULES}
    WHERE tenant_id = :tenant_id AND programme_id = :programme_id ORDER BY valid_from
""")
_ADD_RULES = text("""
    INSERT INTO loyalty.programme_rules
      (tenant_id, programme_id, version, valid_from, rules, work_id)
    VALUES (:tenant_id, :programme_id, :version, :valid_from, CAST(:rules AS jsonb), :work_id)
    ON CONFLICT DO NOTHING
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
_BRANDS_OF_STORES = text("""
    SELECT store_id, brand_id FROM business.stores
    WHERE tenant_id = :tenant_id AND store_id = ANY(CAST(:store_ids AS text[]))
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
_REWARDS = """
    SELECT programme_id, reward_id, name, points, stock, tiers, starts_at, ends_at, per_card_max
    FROM loyalty.rewards
    WHERE tenant_id = :tenant_id AND (programme_id, reward_id) IN (
      SELECT * FROM unnest(CAST(:programme_ids AS text[]), CAST(:reward_ids AS text[])))
"""
# Where there is no stock there is nothing to wait for each other about.
_LOCK_REWARDS = text(f"""
    {_REWARDS} AND stock IS NOT NULL ORDER BY programme_id, reward_id FOR NO KEY UPDATE
""")
_GET_REWARDS = text(f"{_REWARDS} AND stock IS NULL")
_STOCK = text("""
    UPDATE loyalty.rewards AS r SET stock = r.stock + n.change
    FROM unnest(CAST(:programme_ids AS text[]), CAST(:reward_ids AS text[]),
                CAST(:changes AS bigint[])) AS n(programme_id, reward_id, change)
    WHERE r.tenant_id = :tenant_id AND r.programme_id = n.programme_id
      AND r.reward_id = n.reward_id AND r.stock IS NOT NULL
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


async def counts_of_versions(
    connection: AsyncConnection, tenant_id: str, programme_ids: Iterable[str]
) -> dict[str, int]:
    """How many versions each programme has: they are only ever added."""
    values = {"tenant_id": tenant_id, "programme_ids": sorted(set(programme_ids))}
    return {row[0]: row[1] for row in await connection.execute(_COUNTS, values)}


async def all_rules(
    connection: AsyncConnection, tenant_id: str, programme_id: str
) -> list[RulesVersion]:
    """Every version of a programme's rules, by the time from which it is valid."""
    values = {"tenant_id": tenant_id, "programme_id": programme_id}
    found = await connection.execute(_ALL_RULES, values)
    return [RulesVersion(row[0], row[1], json.loads(row[2])) for row in found]


async def add_rules(
    connection: AsyncConnection,
    tenant_id: str,
    programme_id: str,
    new: RulesVersion,
    *,
    work_id: str,
) -> bool:
    """Add a version; False where there is one of its number, or of its first instant, already."""
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


async def brands_of_stores(
    connection: AsyncConnection, tenant_id: str, store_ids: Iterable[str]
) -> dict[str, str]:
    """The brand that each store belongs to; a store that the tenant does not have is left out."""
    values = {"tenant_id": tenant_id, "store_ids": sorted(set(store_ids))}
    return {row[0]: row[1] for row in await connection.execute(_BRANDS_OF_STORES, values)}


async def set_reward(
    connection: AsyncConnection, tenant_id: str, programme_id: str, reward: Reward
) -> None:
    """Create or replace a reward."""
    values = asdict(reward) | {"tiers": list(reward.tiers)}
    await connection.execute(
        _SET_REWARD, values | {"tenant_id": tenant_id, "programme_id": programme_id}
    )


async def lock_rewards(
    connection: AsyncConnection, tenant_id: str, rewards: Iterable[RewardKey]
) -> dict[RewardKey, Reward]:
    """Read rewards, after their cards; those with a stock are locked, in one global order (R44)."""
    keys = sorted(set(rewards))
    values = {
        "tenant_id": tenant_id,
        "programme_ids": [programme_id for programme_id, _ in keys],
        "reward_ids": [reward_id for _, reward_id in keys],
    }
    locked = (await connection.execute(_LOCK_REWARDS, values)).all()
    others = (await connection.execute(_GET_REWARDS, values)).all()
    return {(row[0], row[1]): Reward(*row[1:]) for row in (*locked, *others)}


async def change_stocks(
    connection: AsyncConnection, tenant_id: str, changes: Mapping[RewardKey, int]
) -> None:
    """Add to the stocks of rewards that have one."""
    keys = sorted(key for key, change in changes.items() if change)
    if not keys:
        return
    values = {
        "tenant_id": tenant_id,
        "programme_ids": [programme_id for programme_id, _ in keys],
        "reward_ids": [reward_id for _, reward_id in keys],
        "changes": [changes[key] for key in keys],
    }
    await connection.execute(_STOCK, values)


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
