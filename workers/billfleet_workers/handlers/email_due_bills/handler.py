"""The due-bills worker: claim the account's window, find what is open, and let it be mailed.

The runtime calls it with a claimed delivery. The window in DynamoDB turns most repetitions away
before any work (R46); the decision that counts is made under the account's lock in PostgreSQL, in
the transaction that also announces `DueBillsReady`. A crash on the way costs a lease of minutes and
never the hour (R47). It sends nothing itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, Literal

from sqlalchemy.ext.asyncio import AsyncConnection

from billfleet_contracts import DueBillsReady, DueBillsRequested, OpenBill
from billfleet_contracts.mail import BILLS_MAX
from billfleet_db import Database, files, open_bills, outbox
from billfleet_db.files import NewFile
from billfleet_db.mail import NewRequest, RecipientRow, Request, recipients, requests
from billfleet_db.open_bills import Owed
from billfleet_workers.handlers.due_bills_window import (
    DUE_BILLS_LEASE,
    DUE_BILLS_WINDOW,
    due_bills_window,
)
from billfleet_workers.handlers.email.plans import due_bills_key
from billfleet_workers.handlers.email_due_bills.deciding import GoAhead, answer
from billfleet_workers.handlers.email_due_bills.files import Debtor, make_files
from billfleet_workers.handlers.outbox_rows import outbox_row
from billfleet_workers.handlers.unit_of_work import transaction
from billfleet_workers.runtime.clock import Clock
from billfleet_workers.runtime.errors import Permanent
from billfleet_workers.runtime.handling import Finished, Work
from billfleet_workers.runtime.ports.metrics import Metrics
from billfleet_workers.runtime.ports.objects import ObjectStore
from billfleet_workers.runtime.ports.windows import WindowClosed, WindowHeld, Windows

NothingDue = Literal["mail", "silence"]
SECONDS_OF_LEASE: Final = int(DUE_BILLS_LEASE.total_seconds())


@dataclass(frozen=True, slots=True)
class DueBillsPorts:
    """What the worker reaches the world through."""

    database: Database
    windows: Windows
    objects: ObjectStore
    clock: Clock
    metrics: Metrics


@dataclass(frozen=True, slots=True)
class _Case:
    """One request while it is worked on."""

    tenant: str
    event: DueBillsRequested
    work: Work

    @property
    def window(self) -> str:
        return due_bills_window(self.tenant, self.event.account_id)


class DueBillsHandler:
    """Answers requests for due bills. `nothing_due`: what happens where no bill is open (R56)."""

    def __init__(self, ports: DueBillsPorts, nothing_due: NothingDue, source: str) -> None:
        self._ports = ports
        self._nothing_due = nothing_due
        self._source = source

    async def handle(self, work: Work) -> Finished:
        """Answer the request: a mail is on its way, or one went within the hour.

        Raises:
            Permanent: there is no such tenant.
            Unavailable: PostgreSQL, DynamoDB or the object store can't be reached.
        """
        event = work.envelope.data
        if not isinstance(event, DueBillsRequested):
            raise Permanent(f"the due-bills worker does not handle {work.envelope.type}")
        case = _Case(work.envelope.tenant, event, work)
        claimed = await self._ports.windows.claim(case.window, event.request_id, SECONDS_OF_LEASE)
        if isinstance(claimed, WindowClosed | WindowHeld):
            note = await self._turn_away(case, claimed)
        else:
            note = await self._work(case)
        self._ports.metrics.count("due_bill_requests", answer=note)
        return Finished({note: 1})

    async def _turn_away(self, case: _Case, claimed: WindowClosed | WindowHeld) -> str:
        """Somebody was first. Write down when, for the one who asks again."""
        now = self._ports.clock.now()
        async with transaction(self._ports.database) as connection:
            await _tenant_or_refuse(connection, case)
            known = await requests.get(connection, case.tenant, case.event.request_id)
            if known is not None:
                return "answered_before"
            standing = await self._standing(connection, case, now)
            sent_at: datetime | None = None
            next_from = now + DUE_BILLS_WINDOW
            if isinstance(claimed, WindowClosed):
                sent_at, next_from = claimed.happened_at, claimed.until
            if standing is not None and standing.sent_at is not None:
                # The window counts in whole seconds, the database does not.
                sent_at, next_from = standing.sent_at, standing.sent_at + DUE_BILLS_WINDOW
            await requests.add(
                connection,
                self._request(
                    case,
                    now,
                    "duplicate",
                    duplicate_of=standing.request_id if standing else None,
                    last_sent_at=sent_at,
                    next_from=next_from,
                ),
            )
        return "duplicate"

    async def _work(self, case: _Case) -> str:
        """The window is ours: look, make the files, and decide for good."""
        now = self._ports.clock.now()
        async with transaction(self._ports.database) as connection:
            debtor = await recipients.read(
                connection, case.tenant, "account", case.event.account_id
            )
            if debtor is None:
                await _tenant_or_refuse(connection, case)
            owed = await open_bills.read(
                connection, case.tenant, case.event.account_id, limit=BILLS_MAX
            )
        made: Sequence[NewFile] = ()
        if debtor is not None and owed.bills:
            whose = Debtor(case.tenant, case.event.account_id, debtor)
            made = await make_files(self._ports.objects, whose, owed.bills, now)
        note = await self._announce(case, debtor, owed, made)
        await self._leave_window(case, note)
        return note

    async def _announce(
        self, case: _Case, debtor: RecipientRow | None, owed: Owed, made: Sequence[NewFile]
    ) -> str:
        """Decide under the account's lock, and let the mail be sent with this transaction.

        What is owed may have changed since it was read: the mail worker looks once more.
        """
        now = self._ports.clock.now()
        async with transaction(self._ports.database) as connection:
            decided = await self._decide(connection, case, now)
            if isinstance(decided, str):
                return decided
            if debtor is None:
                refused = self._request(case, now, "refused", reason="no_recipient")
                await requests.add(connection, refused)
                return "refused"
            if not owed.bills and self._nothing_due == "silence":
                silent = self._request(case, now, "silent", next_from=now + DUE_BILLS_WINDOW)
                await requests.add(connection, silent)
                return "silent"
            if decided.supersedes is not None:
                await requests.supersede(
                    connection, case.tenant, decided.supersedes, by=case.event.request_id
                )
            accepted = self._request(
                case, now, "accepted", mail_key=due_bills_key(case.event.request_id)
            )
            await requests.add(connection, accepted)
            for file in made:
                await files.add(connection, file)
            await outbox.add(connection, [self._ready(case, owed, made, now)])
        return "accepted"

    async def _decide(
        self, connection: AsyncConnection, case: _Case, now: datetime
    ) -> GoAhead | str:
        """Under the account's lock: go ahead, or the note with which it ends here."""
        await requests.lock_account(connection, case.tenant, case.event.account_id)
        if await requests.get(connection, case.tenant, case.event.request_id) is not None:
            return "answered_before"
        said = answer(await self._standing(connection, case, now), now)
        if isinstance(said, GoAhead):
            return said
        duplicate = self._request(
            case,
            now,
            "duplicate",
            duplicate_of=said.duplicate_of,
            last_sent_at=said.last_sent_at,
            next_from=said.next_from,
        )
        await requests.add(connection, duplicate)
        return "duplicate"

    async def _leave_window(self, case: _Case, note: str) -> None:
        """An accepted request keeps its claim for the mail worker; silence counts as the mail."""
        now = self._ports.clock.now()
        if note == "silent":
            until = now + DUE_BILLS_WINDOW
            await self._ports.windows.record(case.window, case.event.request_id, now, until)
        elif note in {"duplicate", "refused"}:
            await self._ports.windows.release(case.window, case.event.request_id)

    async def _standing(
        self, connection: AsyncConnection, case: _Case, now: datetime
    ) -> Request | None:
        # A mail may go out some time after its request, so we look back further than one window.
        since = now - 2 * DUE_BILLS_WINDOW
        return await requests.standing(connection, case.tenant, case.event.account_id, since=since)

    def _ready(
        self, case: _Case, owed: Owed, made: Sequence[NewFile], now: datetime
    ) -> outbox.NewOutboxRow:
        file_ids = {file.owner["period_start"]: str(file.file_id) for file in made}
        bills = tuple(
            OpenBill(
                period_start=bill.period_start,
                period_end=bill.period_end,
                amount_minor=bill.amount_minor,
                currency=bill.currency,
                file_id=file_ids.get(str(bill.period_start)),
            )
            for bill in owed.bills
        )
        event = DueBillsReady(
            account_id=case.event.account_id, request_id=case.event.request_id, bills=bills
        )
        return outbox_row(
            event,
            tenant=case.tenant,
            source=self._source,
            now=now,
            traceparent=case.work.envelope.traceparent,
        )

    def _request(
        self,
        case: _Case,
        now: datetime,
        state: Literal["accepted", "duplicate", "silent", "refused"],
        *,
        duplicate_of: str | None = None,
        last_sent_at: datetime | None = None,
        next_from: datetime | None = None,
        reason: str | None = None,
        mail_key: str | None = None,
    ) -> NewRequest:
        return NewRequest(
            tenant_id=case.tenant,
            request_id=case.event.request_id,
            account_id=case.event.account_id,
            state=state,
            work_id=case.work.envelope.id,
            asked_at=now,
            duplicate_of=duplicate_of,
            last_sent_at=last_sent_at,
            next_from=next_from,
            reason=reason,
            mail_key=mail_key,
        )


async def _tenant_or_refuse(connection: AsyncConnection, case: _Case) -> None:
    if not await recipients.tenant_exists(connection, case.tenant):
        raise Permanent(f"there is no tenant {case.tenant}")
