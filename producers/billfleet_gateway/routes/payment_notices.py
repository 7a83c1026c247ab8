"""What the payment gateway tells by itself: payments that end later, or are corrected.

Stripe calls it, without a key of ours: its signature over the bytes is what opens the door. A
report becomes work for the collect worker, once however often Stripe calls, and is answered when
it is written down. What is not about a payment of ours is answered too, or Stripe would go on.
"""

from __future__ import annotations

from typing import Annotated

import structlog
from fastapi import APIRouter, Header, Request, Response

from billfleet_db import tenants
from billfleet_gateway.accepting import accept
from billfleet_gateway.answers import Asked
from billfleet_gateway.credentials import Caller
from billfleet_gateway.door import TheDoor
from billfleet_gateway.ports import NoticeRefused
from billfleet_gateway.problems import Problem, not_found

router = APIRouter(include_in_schema=False)
_log = structlog.get_logger("billfleet.gateway")


@router.post("/hooks/stripe")
async def take_notice(
    request: Request,
    door: TheDoor,
    signature: Annotated[str, Header(alias="Stripe-Signature", max_length=2000)] = "",
) -> Response:
    """Take in one call of Stripe's."""
    if door.notices is None:
        raise not_found("webhook")
    try:
        report = door.notices.read(await request.body(), signature, door.now())
    except NoticeRefused as refused:
        _log.warning("payment_notice_refused", reason=str(refused))
        raise Problem("malformed", "The signature does not hold, or is too old.") from None
    if report is None:
        return Response(status_code=204)
    tenant = door.notices.tenant_of(report)
    async with door.of_tenant(tenant) as connection:
        if await tenants.get_tenant(connection, tenant) is None:
            _log.warning("payment_notice_of_a_stranger", tenant=tenant)
            return Response(status_code=204)
        asked = Asked(door, None, b"", request.headers.get("traceparent"))
        caller = Caller(tenant, report.gateway, frozenset())
        await accept(connection, asked, caller, [report])
    return Response(status_code=202)
