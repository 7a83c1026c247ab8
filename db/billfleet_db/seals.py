"""Seals the ledger: a hash chain per tenant, made behind the hot path (R40).

`seal` is called on a schedule, `check_seals` by `verify`. Posting never waits for a seal. It knows
the transfers and their order; it does not know what they mean.

A seal covers the rows after the last one in the order (xact, transfer_id), and only rows of
transactions older than any that is still running. So what lies up to a seal's last row was decided
when the seal was made, and a row found there later was put there by hand.
"""

import hashlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from billfleet_db.errors import DatabaseMisconfigured

SEAL_ROWS_MAX: Final = 10_000


@dataclass(frozen=True, slots=True)
class Seal:
    """One link of a tenant's chain. Keep `hash` elsewhere too, as in a log: that anchors it."""

    tenant_id: str
    seal_no: int
    first_transfer_id: int
    last_transfer_id: int
    last_xact: str
    rows: int
    previous_hash: bytes
    hash: bytes
    sealed_at: datetime


@dataclass(frozen=True, slots=True)
class BrokenSeal:
    """A place where the chain does not hold, and what that looks like."""

    tenant_id: str
    seal_no: int
    message: str


# What a row's digest covers. A JSON array keeps neighbours apart whatever they contain, and the
# kinds of both sides are in it so that redefining a ledger account shows as well.
_DIGEST = """
    sha256(convert_to(CAST(jsonb_build_array(
      t.transfer_id, t.tenant_id, t.transfer_key, t.kind, t.account_id, t.period_start,
      t.amount_minor, t.currency, t.debit_id, d.kind, d.account_id, t.credit_id, c.kind,
      c.account_id, t.reverses, t.reason, t.work_id,
      CAST(extract(epoch FROM t.posted_at) * 1000000 AS bigint), CAST(t.xact AS text)
    ) AS text), 'UTF8'))
"""
_ROWS = f"""
    SELECT t.transfer_id, t.xact, {_DIGEST} AS digest
    FROM billing.transfers t
    LEFT JOIN billing.ledger_accounts d ON d.ledger_account_id = t.debit_id
    LEFT JOIN billing.ledger_accounts c ON c.ledger_account_id = t.credit_id
    WHERE t.tenant_id = :tenant_id
      AND (t.xact, t.transfer_id) > (CAST(CAST(:after_xact AS text) AS xid8), :after_id)
"""
_TOTALS = """
    SELECT count(*) AS rows,
           (array_agg(transfer_id ORDER BY xact, transfer_id))[1] AS first_transfer_id,
           (array_agg(transfer_id ORDER BY xact DESC, transfer_id DESC))[1] AS last_transfer_id,
           CAST((array_agg(xact ORDER BY xact DESC))[1] AS text) AS last_xact,
           sha256(string_agg(digest, CAST('' AS bytea) ORDER BY xact, transfer_id)) AS digest
"""
_READY = text(f"""
    WITH ready AS ({_ROWS} AND t.xact < pg_snapshot_xmin(pg_current_snapshot())
      ORDER BY t.xact, t.transfer_id LIMIT :rows_max)
    {_TOTALS} FROM ready
""")
_COVERED = text(f"""
    WITH covered AS ({_ROWS}
      AND (t.xact, t.transfer_id) <= (CAST(CAST(:last_xact AS text) AS xid8), :last_id))
    {_TOTALS} FROM covered
""")
_COLUMNS = """tenant_id, seal_no, first_transfer_id, last_transfer_id,
    CAST(last_xact AS text) AS last_xact, rows, previous_hash, hash, sealed_at"""
_LAST = text(f"""
    SELECT {_COLUMNS} FROM billing.seals WHERE tenant_id = :tenant_id
    ORDER BY seal_no DESC LIMIT 1
""")
_AFTER = text(f"""
    SELECT {_COLUMNS} FROM billing.seals WHERE tenant_id = :tenant_id AND seal_no > :after
    ORDER BY seal_no LIMIT 1000
""")
_IS_AHEAD = text("""
    SELECT CAST(CAST(:last_xact AS text) AS xid8) >= pg_snapshot_xmax(pg_current_snapshot())
""")
_LOCK = text("SELECT pg_advisory_xact_lock(hashtextextended('billfleet.seals:' || :tenant_id, 0))")
_INSERT = text(f"""
    INSERT INTO billing.seals
      (tenant_id, seal_no, first_transfer_id, last_transfer_id, last_xact, rows, previous_hash,
       hash)
    VALUES (:tenant_id, :seal_no, :first_transfer_id, :last_transfer_id,
            CAST(CAST(:last_xact AS text) AS xid8), :rows, :previous_hash, :hash)
    RETURNING {_COLUMNS}
""")


def genesis_hash(tenant_id: str) -> bytes:
    """Return what a tenant's first seal builds on."""
    return hashlib.sha256(f"billfleet.seals.v1:{tenant_id}".encode()).digest()


def link_hash(previous_hash: bytes, seal_no: int, rows: int, rows_digest: bytes) -> bytes:
    """Return the hash of a seal: over the seal before it, its number, its size and its rows."""
    numbers = seal_no.to_bytes(8, "big") + rows.to_bytes(8, "big")
    return hashlib.sha256(previous_hash + numbers + rows_digest).digest()


async def seal(
    connection: AsyncConnection, tenant_id: str, rows_max: int = SEAL_ROWS_MAX
) -> Seal | None:
    """Seal the oldest rows of the tenant that are not sealed yet; None when there are none.

    Rows of transactions that still run are left for a later seal. One transaction makes one seal,
    at READ COMMITTED; call it again until it returns None.
    """
    await connection.execute(_LOCK, {"tenant_id": tenant_id})
    last = await last_seal(connection, tenant_id)
    if last is not None:
        await _refuse_younger_cluster(connection, last)
    ready = await connection.execute(
        _READY,
        {
            "tenant_id": tenant_id,
            "after_xact": last.last_xact if last else "0",
            "after_id": last.last_transfer_id if last else 0,
            "rows_max": rows_max,
        },
    )
    totals = ready.one()
    if totals.rows == 0:
        return None
    previous_hash = last.hash if last else genesis_hash(tenant_id)
    seal_no = last.seal_no + 1 if last else 1
    made = await connection.execute(
        _INSERT,
        {
            "tenant_id": tenant_id,
            "seal_no": seal_no,
            "first_transfer_id": totals.first_transfer_id,
            "last_transfer_id": totals.last_transfer_id,
            "last_xact": totals.last_xact,
            "rows": totals.rows,
            "previous_hash": previous_hash,
            "hash": link_hash(previous_hash, seal_no, totals.rows, totals.digest),
        },
    )
    return Seal(**made.mappings().one())


async def last_seal(connection: AsyncConnection, tenant_id: str) -> Seal | None:
    """Return the newest seal of the tenant."""
    found = (await connection.execute(_LAST, {"tenant_id": tenant_id})).mappings().one_or_none()
    return None if found is None else Seal(**found)


async def check_seals(connection: AsyncConnection, tenant_id: str) -> list[BrokenSeal]:
    """Compute the tenant's chain anew from its rows and return every seal that does not hold.

    Cutting off the newest seals together leaves no trace in the database; compare `last_seal` with
    what was logged to notice that.
    """
    broken: list[BrokenSeal] = []
    before: Seal | None = None
    async for link in _chain(connection, tenant_id):
        message = _link_fault(link, before) or await _rows_fault(connection, link, before)
        if message:
            broken.append(BrokenSeal(tenant_id, link.seal_no, message))
        before = link
    return broken


async def _chain(connection: AsyncConnection, tenant_id: str) -> AsyncIterator[Seal]:
    after = 0
    while True:
        found = await connection.execute(_AFTER, {"tenant_id": tenant_id, "after": after})
        links = [Seal(**row) for row in found.mappings()]
        for link in links:
            yield link
        if not links:
            return
        after = links[-1].seal_no


def _link_fault(link: Seal, before: Seal | None) -> str | None:
    expected_no = before.seal_no + 1 if before else 1
    if link.seal_no != expected_no:
        return f"seals {expected_no} to {link.seal_no - 1} are missing"
    expected_hash = before.hash if before else genesis_hash(link.tenant_id)
    if link.previous_hash != expected_hash:
        return "it does not follow from the seal before it, so one of the two was changed"
    return None


async def _rows_fault(connection: AsyncConnection, link: Seal, before: Seal | None) -> str | None:
    covered = await connection.execute(
        _COVERED,
        {
            "tenant_id": link.tenant_id,
            "after_xact": before.last_xact if before else "0",
            "after_id": before.last_transfer_id if before else 0,
            "last_xact": link.last_xact,
            "last_id": link.last_transfer_id,
        },
    )
    totals = covered.one()
    where = f"between transfers {link.first_transfer_id} and {link.last_transfer_id}"
    if totals.rows < link.rows:
        return f"{link.rows - totals.rows} of {link.rows} rows are gone {where}"
    if totals.rows > link.rows:
        return f"{totals.rows - link.rows} rows were put in afterwards {where}"
    hash_ = link_hash(link.previous_hash, link.seal_no, totals.rows, totals.digest)
    if hash_ != link.hash:
        return f"a row was edited or moved {where}"
    return None


async def _refuse_younger_cluster(connection: AsyncConnection, last: Seal) -> None:
    """Refuse where transaction numbers began anew, as after restoring a logical dump."""
    if await connection.scalar(_IS_AHEAD, {"last_xact": last.last_xact}):
        raise DatabaseMisconfigured(
            f"transaction numbers of this cluster are behind the seals of tenant {last.tenant_id} "
            f"(last sealed: {last.last_xact}), as after restoring a dump into a new cluster; stop "
            "PostgreSQL and move them ahead with pg_resetwal --epoch and --next-transaction-id"
        )
