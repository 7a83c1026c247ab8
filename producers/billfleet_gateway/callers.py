"""Who calls: a bearer token becomes a caller with a tenant and scopes, at the tenant's rate.

Routes depend on `Needs(scope)`. Keys are remembered for a few seconds, so that a busy caller does
not cost a look-up a request; an address whose look-ups found nothing is refused before the next.
It must not say why credentials are refused.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import Annotated

from fastapi import Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from billfleet_db import api_keys
from billfleet_db.api_keys import ApiKey
from billfleet_gateway.buckets import Buckets
from billfleet_gateway.credentials import Caller, Scope, read_key
from billfleet_gateway.door import Door
from billfleet_gateway.problems import Problem, unavailable
from billfleet_gateway.tokens import KeySetAway

REMEMBERED_MAX = 10_000
TOO_FAST = "This is faster than the agreed rate."
TOO_STRANGE = "Too many requests with no valid key or token came from this address."
bearer = HTTPBearer(auto_error=False, description="An API key (`bfk_...`), or a JSON Web Token.")


class Reception:
    """What one front door remembers of its callers."""

    def __init__(self, door: Door) -> None:
        options = door.options
        self._door = door
        self._tenants = Buckets(options.requests_per_s, options.burst)
        burst = options.strangers_per_s * 4
        # Look-ups that are on their way together are paid for when they have found nothing.
        self._strangers = Buckets(options.strangers_per_s, burst, debt_max=burst)
        self._keys: OrderedDict[str, tuple[ApiKey | None, float]] = OrderedDict()

    async def receive(self, token: str | None, host: str) -> Caller:
        """The caller of these credentials.

        Raises:
            Problem: unauthenticated; too many requests; the key set or the database is away.
        """
        caller = None if token is None else await self._caller(token, host)
        if caller is None:
            _hold_off(self._strangers.take(host, self._door.monotonic()), TOO_STRANGE)
            raise Problem(
                "unauthenticated",
                "The request has no valid API key or token.",
                headers={"WWW-Authenticate": "Bearer"},
            )
        _hold_off(self._tenants.take(caller.tenant, self._door.monotonic()), TOO_FAST)
        return caller

    async def _caller(self, token: str, host: str) -> Caller | None:
        presented = read_key(token)
        if presented is None:
            return await self._token(token)
        key = await self._key(presented.key_id, host)
        if key is None or not presented.opens(key.secret_hash):
            return None
        if not key.is_valid(self._door.now()):
            return None
        return Caller(key.tenant_id, key.name, frozenset(key.scopes))

    async def _token(self, token: str) -> Caller | None:
        if self._door.tokens is None:
            return None
        try:
            return await self._door.tokens.caller(token)
        except KeySetAway:
            raise unavailable("The key set", self._door.options.retry_after_s) from None

    async def _key(self, key_id: str, host: str) -> ApiKey | None:
        now_s = self._door.monotonic()
        known, at_s = self._keys.get(key_id, (None, -math.inf))
        if now_s - at_s < self._door.options.key_cache_s:
            return known
        if known is None:
            _hold_off(self._strangers.wait_s(host, now_s), TOO_STRANGE)
        async with self._door.database.transaction() as connection:
            found = await api_keys.find(connection, key_id)
        self._keys[key_id] = (found, now_s)
        self._keys.move_to_end(key_id)
        if len(self._keys) > REMEMBERED_MAX:
            self._keys.popitem(last=False)
        return found


def _hold_off(wait_s: float, detail: str) -> None:
    if wait_s > 0:
        raise Problem("too-many-requests", detail, headers={"Retry-After": str(math.ceil(wait_s))})


class Needs:
    """A dependency: a caller who may do what `scope` says."""

    def __init__(self, scope: Scope) -> None:
        self._scope: Scope = scope

    async def __call__(
        self,
        request: Request,
        given: Annotated[HTTPAuthorizationCredentials | None, Security(bearer)],
    ) -> Caller:
        """The caller, or a problem."""
        reception: Reception = request.app.state.reception
        host = request.client.host if request.client else ""
        caller = await reception.receive(given.credentials if given else None, host)
        if not caller.may(self._scope):
            raise Problem("forbidden", f"The key lacks the scope {self._scope}.")
        return caller
