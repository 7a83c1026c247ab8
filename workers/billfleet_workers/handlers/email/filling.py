"""What a mail says that only the database knows at the moment of sending: the last look.

The handler calls it inside the transaction that hands the mail over. Bills that were paid since
they were asked for are left out, and files are linked only while they may be opened.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

from billfleet_contracts.mail import BILLS_MAX
from billfleet_db import files, open_bills
from billfleet_db.files import FILE_LIFE_DAYS, standing
from billfleet_workers.handlers.email.links import Links
from billfleet_workers.handlers.email.plans import Plan
from billfleet_workers.handlers.email.rendering import spec_of
from billfleet_workers.handlers.email.templates import TemplateSpec


class Filling:
    """Fills plans for one tenant, as things are now."""

    def __init__(
        self, connection: AsyncConnection, tenant: str, links: Links, now: datetime
    ) -> None:
        self._connection = connection
        self._tenant = tenant
        self._links = links
        self._now = now

    async def fill(self, plan: Plan) -> tuple[TemplateSpec, Mapping[str, Any]]:
        """The template and all that it needs."""
        if plan.request_id is not None:
            return await self._due_bills(plan)
        if plan.file_id is None:
            return plan.spec, plan.variables
        link, until = await self._file(plan.file_id, plan.file_expires_at)
        return plan.spec, {**plan.variables, "link": link or "", "link_until": until}

    async def _due_bills(self, plan: Plan) -> tuple[TemplateSpec, Mapping[str, Any]]:
        account_id = plan.recipient_id
        owed = await open_bills.read(self._connection, self._tenant, account_id, limit=BILLS_MAX)
        said = {"account_id": account_id, "now": self._now}
        if not owed.bills:
            return spec_of("nothing_due"), said
        file_ids = {bill.period_start: bill.file_id for bill in plan.bills}
        lines: list[dict[str, Any]] = []
        ends: list[datetime] = []
        for bill in owed.bills:
            link, until = await self._file(file_ids.get(bill.period_start), None)
            if link is not None:
                ends.append(until)
            lines.append(
                {
                    "due_on": bill.period_start,
                    "period_start": bill.period_start,
                    "period_end": bill.period_end,
                    "amount_minor": bill.amount_minor,
                    "currency": bill.currency,
                    "link": link,
                }
            )
        totals = [
            {"amount_minor": total.amount_minor, "currency": total.currency}
            for total in owed.totals
        ]
        more = {"bills_more": owed.more, "links_until": min(ends, default=self._now)}
        return spec_of("due_bills"), {**said, "totals": totals, "bills": lines, **more}

    async def _file(
        self, file_id: str | None, expires_at: datetime | None
    ) -> tuple[str | None, datetime]:
        """The link to a file that may be opened, and until when."""
        ends = expires_at or self._now + timedelta(days=FILE_LIFE_DAYS)
        if file_id is None:
            return None, ends
        file = await files.find(self._connection, self._tenant, UUID(file_id))
        if file is None or standing(file, self._now) != "available":
            return None, ends
        return self._links.file(self._tenant, file_id, file.expires_at), file.expires_at
