"""What was done for people: mails, exports, reports, webhooks, files; the newest of each."""

from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from billfleet_db import records
from billfleet_ops.console.parts import console_of, page, problem

SHOWN_MAX = 100
TABLES: Final = {
    "mails": "mail.mails",
    "suppressions": "mail.suppressions",
    "exports": "fleet.exports",
    "reports": "analytics.reports",
    "webhooks": "fleet.webhook_deliveries",
    "files": "fleet.files",
    "refusals": "billing.refusals",
}


def routes() -> list[Route]:
    """The pages here."""
    return [Route("/records", listed), Route("/records/{kind}", listed)]


async def listed(request: Request) -> Response:
    """The newest of one kind."""
    kind = request.path_params.get("kind", "mails")
    if kind not in TABLES:
        return problem(request, 404, f"There is no kind of records called {kind}.")
    tenant = request.query_params.get("tenant", "").strip()
    found = await records.newest(
        console_of(request).database, TABLES[kind], tenant=tenant, limit=SHOWN_MAX
    )
    return page(request, "records.html", kind=kind, kinds=TABLES, found=found, tenant=tenant)
