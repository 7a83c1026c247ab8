"""Undoes postings by posting others: reversals and refunds, under the account's row lock.

Called by handlers and by `billfleet ledger`. History is kept: nothing here changes a row.
"""

from datetime import date

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from billfleet_db.errors import LedgerRefused
from billfleet_db.ledger.posting import NewTransfer, PostedTransfer, post_transfers
from billfleet_db.ledger.reading import collected

_LOCK_ACCOUNT = text("""
    SELECT 1 FROM billing.accounts
    WHERE tenant_id = :tenant_id AND account_id = :account_id FOR NO KEY UPDATE
""")
_ACCOUNT_OF = text("""
    SELECT tenant_id, account_id FROM billing.transfers WHERE transfer_id = :transfer_id
""")
_REVERSE = text("""
    INSERT INTO billing.transfers
      (tenant_id, transfer_key, kind, account_id, period_start, debit_id, credit_id,
       amount_minor, currency, reverses, reason, work_id)
    SELECT tenant_id, 'reversal:' || transfer_id, 'reversal', account_id, period_start, credit_id,
           debit_id, amount_minor, currency, transfer_id, :reason, :work_id
    FROM billing.transfers WHERE transfer_id = :transfer_id
    ON CONFLICT DO NOTHING
    RETURNING transfer_id, transfer_key
""")
_REVERSAL_OF = text("""
    SELECT transfer_id, transfer_key, work_id FROM billing.transfers WHERE reverses = :transfer_id
""")


async def reverse(
    connection: AsyncConnection, transfer_id: int, reason: str, work_id: str
) -> PostedTransfer:
    """Post the transfer's opposite. A reversal can itself be reversed, each row once.

    Raises LedgerRefused for an unknown transfer and for one that other work reversed already; the
    same work asking again gets the reversal that it made.
    """
    account = (await connection.execute(_ACCOUNT_OF, {"transfer_id": transfer_id})).one_or_none()
    if account is None:
        raise LedgerRefused(
            f"transfer {transfer_id} does not exist", constraint="fk_transfers_reverses"
        )
    await _lock_account(connection, account.tenant_id, account.account_id)
    made = await connection.execute(
        _REVERSE, {"transfer_id": transfer_id, "reason": reason, "work_id": work_id}
    )
    new = made.one_or_none()
    if new is not None:
        return PostedTransfer(new.transfer_id, new.transfer_key, is_new=True)
    old = (await connection.execute(_REVERSAL_OF, {"transfer_id": transfer_id})).one()
    if old.work_id != work_id:
        raise LedgerRefused(
            f"transfer {transfer_id} is already reversed by transfer {old.transfer_id}",
            constraint="uq_transfers_reverses",
        )
    return PostedTransfer(old.transfer_id, old.transfer_key, is_new=False)


async def refund(
    connection: AsyncConnection,
    *,
    tenant_id: str,
    account_id: str,
    period_start: date,
    amount_minor: int,
    currency: str,
    refund_key: str,
    reason: str,
    work_id: str,
) -> PostedTransfer:
    """Post a refund of at most what was captured for the period and not refunded yet (R41).

    Raises LedgerRefused when it is more than that, and when the key was used for another refund;
    the same refund asked for again is the one that is there.
    """
    if amount_minor <= 0:
        raise LedgerRefused(
            f"a refund of {amount_minor} moves nothing", constraint="refund_positive"
        )
    await _lock_account(connection, tenant_id, account_id)
    wanted = NewTransfer(
        tenant_id=tenant_id,
        transfer_key=f"refund:{refund_key}",
        kind="refund",
        account_id=account_id,
        period_start=period_start,
        amount_minor=amount_minor,
        currency=currency,
        work_id=work_id,
        reason=reason,
    )
    # Posted first and counted after: the count then includes it, and a refusal takes it back.
    async with connection.begin_nested():
        (posted,) = await post_transfers(connection, [wanted])
        if posted.is_new:
            await _refuse_overdraft(connection, wanted)
    if not posted.agrees:
        raise LedgerRefused(
            f"refund key {refund_key} was used for another refund", constraint="uq_transfers_key"
        )
    return posted


async def _refuse_overdraft(connection: AsyncConnection, wanted: NewTransfer) -> None:
    so_far = await collected(
        connection, wanted.tenant_id, wanted.account_id, wanted.period_start, wanted.currency
    )
    if so_far.refunded_minor > so_far.captured_minor:
        left = so_far.captured_minor - so_far.refunded_minor + wanted.amount_minor
        raise LedgerRefused(
            f"a refund of {wanted.amount_minor} {wanted.currency} (minor units) is more than the "
            f"{left} that account {wanted.account_id} has left for {wanted.period_start}",
            constraint="refund_within_captured",
        )


async def _lock_account(connection: AsyncConnection, tenant_id: str, account_id: str) -> None:
    key = {"tenant_id": tenant_id, "account_id": account_id}
    if (await connection.execute(_LOCK_ACCOUNT, key)).one_or_none() is None:
        raise LedgerRefused(
            f"tenant {tenant_id} has no account {account_id}", constraint="fk_transfers_accounts"
        )
