"""Tokens while their key set is away."""

import asyncio
from typing import Any

import jwt

from billfleet_gateway.tokens import KeySetAway, TokenCheck, TokenRules


class Away:
    """A key set whose address takes its time and does not answer."""

    def __init__(self) -> None:
        self.asked = 0
        self.now_s = 0.0

    async def fetch(self) -> dict[str, Any]:
        self.asked += 1
        await asyncio.sleep(0)
        self.now_s += 5
        raise ConnectionError("away")

    def monotonic(self) -> float:
        return self.now_s


async def test_callers_who_wait_for_a_key_set_that_is_away_wait_for_one_fetch_together() -> None:
    away = Away()
    check = TokenCheck(TokenRules("https://issuer.test", None), away.fetch, away.monotonic)
    token = jwt.encode({}, "k" * 40, "HS256", headers={"kid": "k1"})
    ends = await asyncio.gather(*(check.caller(token) for _ in range(20)), return_exceptions=True)
    assert [type(end) for end in ends] == [KeySetAway] * 20
    assert away.asked == 1
    away.now_s += 1
    await asyncio.gather(check.caller(token), return_exceptions=True)
    assert away.asked == 2
