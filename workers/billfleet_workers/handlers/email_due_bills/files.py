"""The files of an account's open bills: made, put where files lie, and recorded.

The handler calls it between its two transactions, since a slow store must not hold a lock. The ids
follow from bill and day, so a repetition writes the same files again.
"""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import NAMESPACE_URL, UUID, uuid5

from billfleet_db.files import FILE_LIFE_DAYS, NewFile
from billfleet_db.mail import RecipientRow
from billfleet_db.open_bills import OpenBillRow
from billfleet_workers.handlers.email_due_bills.bill_file import (
    CONTENT_TYPE,
    BillPage,
    draw,
    file_name,
)
from billfleet_workers.runtime.ports.objects import ObjectStore

KIND: Final = "bills"
FILES_MAX: Final = 24
"""Files of one mail: two years of monthly bills. Older ones are listed without a file."""
PUTS_AT_ONCE: Final = 8
_NAMESPACE: Final = uuid5(NAMESPACE_URL, "https://billfleet/bills")


@dataclass(frozen=True, slots=True)
class Debtor:
    """Whose bills they are."""

    tenant: str
    account_id: str
    row: RecipientRow


async def make_files(
    store: ObjectStore, debtor: Debtor, bills: Sequence[OpenBillRow], now: datetime
) -> list[NewFile]:
    """A file for each of the latest bills, aligned with the end of the list.

    Raises:
        Unavailable: the store does not answer.
    """
    chosen = bills[-FILES_MAX:]
    bodies = await asyncio.to_thread(lambda: [draw(_page(debtor, bill)) for bill in chosen])
    made = [_file(debtor, bill, body, now) for bill, body in zip(chosen, bodies, strict=True)]
    for first in range(0, len(made), PUTS_AT_ONCE):
        batch = range(first, min(first + PUTS_AT_ONCE, len(made)))
        await asyncio.gather(
            *(store.put(made[n].object_key, bodies[n], content_type=CONTENT_TYPE) for n in batch)
        )
    return made


def _page(debtor: Debtor, bill: OpenBillRow) -> BillPage:
    return BillPage(
        tenant_name=debtor.row.tenant_name,
        customer_name=debtor.row.name,
        customer_id=debtor.row.customer_id or "",
        account_id=debtor.account_id,
        number=bill.charge_transfer_id,
        period_start=bill.period_start,
        period_end=bill.period_end,
        amount_minor=bill.amount_minor,
        currency=bill.currency,
    )


def _file(debtor: Debtor, bill: OpenBillRow, body: bytes, now: datetime) -> NewFile:
    file_id = _file_id(debtor, bill, now)
    name = file_name(debtor.account_id, bill.period_start)
    return NewFile(
        tenant_id=debtor.tenant,
        file_id=file_id,
        kind=KIND,
        object_key=f"{KIND}/{debtor.tenant}/{now:%Y}/{now:%m}/{file_id}-{name}",
        file_name=name,
        content_type=CONTENT_TYPE,
        bytes_count=len(body),
        sha256=hashlib.sha256(body).hexdigest(),
        created_at=now,
        expires_at=now + timedelta(days=FILE_LIFE_DAYS),
        owner={"account_id": debtor.account_id, "period_start": str(bill.period_start)},
    )


def _file_id(debtor: Debtor, bill: OpenBillRow, now: datetime) -> UUID:
    """Another on each day, so that what is mailed today can be opened for all of its days."""
    named = (debtor.tenant, debtor.account_id, str(bill.charge_transfer_id), f"{now:%Y-%m-%d}")
    return uuid5(_NAMESPACE, "\n".join(named))
