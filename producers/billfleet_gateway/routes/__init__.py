"""The routes of the front door, one module a subject. A new module is a line here.

`app` includes them. Each turns a request into an effect or a view, and knows no other.
"""

from typing import Final

from fastapi import APIRouter

from billfleet_gateway.routes import (
    accounts,
    avatars,
    events,
    exports,
    health,
    ledger,
    links,
    loyalty,
    payment_notices,
    work,
)

ROUTERS: Final[tuple[APIRouter, ...]] = (
    accounts.router,
    ledger.router,
    loyalty.router,
    events.router,
    exports.router,
    avatars.router,
    work.router,
    health.router,
    links.router,
    payment_notices.router,
)
