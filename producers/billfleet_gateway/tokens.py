"""JSON Web Tokens instead of API keys, checked against a key set such as Amazon Cognito publishes.

`callers` asks it about bearer tokens that are no keys of ours, where a key set is configured. The
set is fetched when a token names a key that is not known, and at most every half minute, so
that strangers cannot make us fetch; while it is away and none is known, at most every second. It
must not know the database.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import jwt

from billfleet_contracts import TENANT_PATTERN
from billfleet_gateway.credentials import SCOPES, Caller

ALGORITHMS: Final = ["RS256", "ES256", "EdDSA"]
REFRESH_S: Final = 30.0
RETRY_S: Final = 1.0
LEEWAY_S: Final = 30


@dataclass(frozen=True, slots=True)
class TokenRules:
    """What a token must say. `tenant_claim` names the tenant, `scope` the scopes, by spaces."""

    issuer: str
    audience: str | None
    tenant_claim: str = "custom:tenant"


class KeySetAway(OSError):
    """The address of the key set does not answer, or not with a key set.

    Check BILLFLEET_HTTP_JWKS_URL and that this machine may reach it.
    """


class TokenCheck:
    """Checks tokens against one issuer's key set."""

    def __init__(
        self,
        rules: TokenRules,
        fetch: Callable[[], Awaitable[dict[str, Any]]],
        monotonic: Callable[[], float],
    ) -> None:
        self._rules = rules
        self._fetch = fetch
        self._monotonic = monotonic
        self._keys: dict[str, jwt.PyJWK] = {}
        self._fetched_s: float | None = None
        self._failure: Exception | None = None
        self._fetching = asyncio.Lock()

    async def caller(self, token: str) -> Caller | None:
        """Who the token speaks for; None where it does not hold.

        Raises:
            KeySetAway: the key set was never fetched and does not answer.
        """
        try:
            key = await self._key(str(jwt.get_unverified_header(token).get("kid", "")))
            if key is None:
                return None
            claims = self._claims(token, key)
        except jwt.PyJWTError:
            return None
        tenant = claims.get(self._rules.tenant_claim)
        if not isinstance(tenant, str) or re.fullmatch(TENANT_PATTERN, tenant) is None:
            return None
        said = str(claims.get("scope", "")).split()
        # Cognito writes scopes as <resource server>/<scope>.
        scopes = {scope.rpartition("/")[2] for scope in said}
        return Caller(tenant, str(claims.get("sub", "")), frozenset(scopes & set(SCOPES)))

    def _claims(self, token: str, key: jwt.PyJWK) -> dict[str, Any]:
        audience = self._rules.audience
        claims: dict[str, Any] = jwt.decode(
            token,
            key,
            algorithms=ALGORITHMS,
            issuer=self._rules.issuer,
            audience=audience,
            leeway=LEEWAY_S,
            options={"require": ["exp", "iss"], "verify_aud": audience is not None},
        )
        return claims

    async def _key(self, kid: str) -> jwt.PyJWK | None:
        if kid in self._keys:
            return self._keys[kid]
        async with self._fetching:
            if kid not in self._keys and self._may_fetch():
                await self._refresh()
        if not self._keys:
            why = type(self._failure).__name__
            raise KeySetAway(f"the key set cannot be read: {why}") from self._failure
        return self._keys.get(kid)

    def _may_fetch(self) -> bool:
        pause_s = REFRESH_S if self._keys else RETRY_S
        return self._fetched_s is None or self._monotonic() - self._fetched_s >= pause_s

    async def _refresh(self) -> None:
        try:
            found = jwt.PyJWKSet.from_dict(await self._fetch())
        except (OSError, ValueError, jwt.PyJWTError) as error:
            self._failure = error
        else:
            self._keys = {str(key.key_id): key for key in found.keys}
        finally:
            # When it ended: who waited meanwhile must not fetch it once more, one after the other.
            self._fetched_s = self._monotonic()
