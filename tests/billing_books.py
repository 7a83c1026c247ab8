"""Charges, payments and declines of a tenant at instants that a test chooses.

The product stamps its rows with the database's own time; a report of last month needs last month's
rows, so these are written by a login that may do everything.
"""

from datetime import date, datetime

from sqlalchemy import text

from billfleet_db import Database

_SIDES = {
    "charge": ("receivable", "revenue"),
    "payment": ("cash", "receivable"),
    "refund": ("receivable", "cash"),
}


class Books:
    """A tenant's ledger, written at will."""

    def __init__(self, superuser: Database, *, tenant: str = "acme", currency: str = "EUR") -> None:
        self._database = superuser
        self._tenant = tenant
        self._currency = currency

    async def _say(self, statement: str, **values: object) -> int | None:
        values = {"tenant": self._tenant, "currency": self._currency, **values}
        named = text(statement)
        given = {name: values[name] for name in named.compile().params}
        async with self._database.transaction() as connection:
            done = await connection.execute(named, given)
            return done.scalar() if done.returns_rows else None

    async def account(self, account_id: str) -> None:
        """An account of a customer of the same name, and the ledger's sides."""
        await self._say(
            """INSERT INTO customer.customers (tenant_id, customer_id, name)
               VALUES (:tenant, :account_id, 'Ada') ON CONFLICT DO NOTHING""",
            account_id=account_id,
        )
        await self._say(
            """INSERT INTO billing.accounts (tenant_id, account_id, customer_id, amount_minor,
                 currency, anchor_day, time_zone, rebilling_date)
               VALUES (:tenant, :account_id, :account_id, 1000, :currency, 1, 'UTC', '2026-12-01')
               ON CONFLICT DO NOTHING""",
            account_id=account_id,
        )
        for kind, owner in (("receivable", account_id), ("revenue", None), ("cash", None)):
            await self._say(
                """INSERT INTO billing.ledger_accounts (tenant_id, kind, account_id, currency)
                   VALUES (:tenant, :kind, :owner, :currency) ON CONFLICT DO NOTHING""",
                kind=kind,
                owner=owner,
            )

    async def charge(
        self, account_id: str, first: date, last: date, amount_minor: int, at: datetime
    ) -> int:
        """Bill a period."""
        await self.account(account_id)
        transfer_id = await self._post("charge", account_id, first, amount_minor, at)
        await self._say(
            """INSERT INTO billing.bills (tenant_id, account_id, period_start, period_end,
                 amount_minor, currency, charge_transfer_id)
               VALUES (:tenant, :account_id, :first, :last, :amount_minor, :currency, :charge)""",
            account_id=account_id,
            first=first,
            last=last,
            amount_minor=amount_minor,
            charge=transfer_id,
        )
        return transfer_id

    async def pay(self, account_id: str, first: date, amount_minor: int, at: datetime) -> int:
        """Pay a bill."""
        return await self._post("payment", account_id, first, amount_minor, at)

    async def reverse(self, transfer_id: int, at: datetime) -> None:
        """Take a transfer back."""
        await self._say(
            """INSERT INTO billing.transfers (tenant_id, transfer_key, kind, account_id,
                 period_start, debit_id, credit_id, amount_minor, currency, reverses, work_id,
                 posted_at)
               SELECT tenant_id, 'reversal:' || transfer_id, 'reversal', account_id, period_start,
                 credit_id, debit_id, amount_minor, currency, transfer_id, 'test', :at
               FROM billing.transfers WHERE transfer_id = :transfer_id""",
            transfer_id=transfer_id,
            at=at,
        )

    async def decline(self, account_id: str, first: date, at: datetime) -> None:
        """The first attempt at a bill is declined."""
        await self._say(
            """INSERT INTO billing.attempts (tenant_id, account_id, period_start, attempt_no,
                 attempt_key, gateway, request_body, amount_minor, currency, state, decline_kind,
                 work_id, created_at, concluded_at)
               SELECT tenant_id, account_id, period_start, 1, account_id || period_start, 'log',
                 '{}', amount_minor, currency, 'declined', 'soft', 'test', :at, :at
               FROM billing.bills WHERE tenant_id = :tenant AND account_id = :account_id
                 AND period_start = :first""",
            account_id=account_id,
            first=first,
            at=at,
        )

    async def _post(
        self, kind: str, account_id: str, first: date, amount_minor: int, at: datetime
    ) -> int:
        debit, credit = _SIDES[kind]
        made = await self._say(
            """WITH sides AS (SELECT kind, ledger_account_id FROM billing.ledger_accounts
                 WHERE tenant_id = :tenant AND currency = :currency
                   AND (account_id = :account_id OR account_id IS NULL))
               INSERT INTO billing.transfers (tenant_id, transfer_key, kind, account_id,
                 period_start, debit_id, credit_id, amount_minor, currency, work_id, posted_at)
               VALUES (:tenant, :key, :kind, :account_id, :first,
                 (SELECT ledger_account_id FROM sides WHERE kind = :debit),
                 (SELECT ledger_account_id FROM sides WHERE kind = :credit),
                 :amount_minor, :currency, 'test', :at) RETURNING transfer_id""",
            key=f"{kind}:{account_id}:{first}",
            kind=kind,
            account_id=account_id,
            first=first,
            debit=debit,
            credit=credit,
            amount_minor=amount_minor,
            at=at,
        )
        assert made is not None
        return made
