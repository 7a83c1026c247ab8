"""The ledger of an account, a page at a time."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Response

from billfleet_db import accounts
from billfleet_db.ledger import Entry, account_entries
from billfleet_gateway.answers import shown
from billfleet_gateway.callers import Needs
from billfleet_gateway.credentials import Caller
from billfleet_gateway.cursors import make_cursor, read_cursor
from billfleet_gateway.door import TheDoor
from billfleet_gateway.fields import AnId, View
from billfleet_gateway.problems import not_found

router = APIRouter(prefix="/v1/accounts", tags=["accounts"])
Reader = Annotated[Caller, Depends(Needs("accounts:read"))]


class EntryView(View):
    """One transfer; `owed_change_minor` is what it did to what the account owes."""

    transfer_id: int
    kind: str
    period_start: date
    debit: str
    credit: str
    amount_minor: int
    currency: str
    owed_change_minor: int
    reverses: int | None
    reason: str | None
    work_id: str
    posted_at: datetime


class LedgerPage(View):
    """Transfers in the order of writing. `next` is the cursor of the next page, if there is one."""

    entries: list[EntryView]
    next: str | None


@router.get("/{account_id}/ledger", response_model=LedgerPage)
async def get_ledger(
    account_id: AnId,
    caller: Reader,
    door: TheDoor,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    cursor: Annotated[str | None, Query(max_length=200, description="`next` of a page.")] = None,
) -> Response:
    """What was charged, paid, refunded and written off."""
    of = f"ledger:{caller.tenant}:{account_id}"
    after = read_cursor(of, cursor)
    async with door.of_tenant(caller.tenant) as connection:
        entries = await account_entries(
            connection, caller.tenant, account_id, after=after, limit=limit + 1
        )
        if not entries and await accounts.get(connection, caller.tenant, account_id) is None:
            raise not_found("account")
    page = entries[:limit]
    more = make_cursor(of, page[-1].transfer_id) if len(entries) > limit else None
    return shown(LedgerPage(entries=[_shown(entry) for entry in page], next=more))


def _shown(entry: Entry) -> EntryView:
    return EntryView(**{name: getattr(entry, name) for name in EntryView.model_fields})
