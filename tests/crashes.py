"""Lights out at a chosen moment: a database and a gateway that end the process between two steps.

Every statement, every commit and every call of the gateway is two moments: before it and after
it. `Fuse(n)` blows at the n-th one that is passed. A blown fuse is not an `Exception`, so no code
of ours can tidy up after it, as after `kill -9`.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from sqlalchemy.ext.asyncio import AsyncConnection

from billfleet_db import Database
from billfleet_workers.runtime.ports.payments import (
    Charge,
    DeclineKind,
    GatewayAnswer,
    PaymentGateway,
)


class LightsOut(BaseException):
    """The process is gone."""


class Fuse:
    """Counts moments and blows at one of them."""

    def __init__(self, blows_at: int) -> None:
        self._left = blows_at

    @property
    def is_blown(self) -> bool:
        return self._left <= 0

    def pass_moment(self) -> None:
        self._left -= 1
        if self._left <= 0:
            raise LightsOut


class FusedDatabase(Database):
    """A database whose process may end before and after each statement and commit."""

    def __init__(self, inner: Database, fuse: Fuse) -> None:
        self._inner = inner
        self._fuse = fuse

    @asynccontextmanager
    async def transaction(self, isolation: Any = None) -> AsyncIterator[AsyncConnection]:
        self._fuse.pass_moment()
        async with self._inner.transaction(isolation) as connection:
            yield _FusedConnection(connection, self._fuse)  # type: ignore[misc]  # a stand-in
            self._fuse.pass_moment()
        self._fuse.pass_moment()


class _FusedConnection:
    def __init__(self, inner: AsyncConnection, fuse: Fuse) -> None:
        self._inner = inner
        self._fuse = fuse

    async def execute(self, *arguments: Any, **options: Any) -> Any:
        self._fuse.pass_moment()
        result = await self._inner.execute(*arguments, **options)
        self._fuse.pass_moment()
        return result

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)


class FusedGateway:
    """A gateway whose caller may end before and after each call."""

    def __init__(self, inner: PaymentGateway, fuse: Fuse) -> None:
        self._inner = inner
        self._fuse = fuse
        self.name = inner.name

    def minimum_minor(self, currency: str) -> int:
        return self._inner.minimum_minor(currency)

    def objection(self, charge: Charge) -> str | None:
        return self._inner.objection(charge)

    def decline_kind(self, code: str) -> DeclineKind:
        return self._inner.decline_kind(code)

    def request_body(self, charge: Charge) -> str:
        return self._inner.request_body(charge)

    async def charge(self, key: str, body: str) -> GatewayAnswer:
        self._fuse.pass_moment()
        answer = await self._inner.charge(key, body)
        self._fuse.pass_moment()
        return answer

    async def find(self, key: str, body: str) -> GatewayAnswer | None:
        self._fuse.pass_moment()
        answer = await self._inner.find(key, body)
        self._fuse.pass_moment()
        return answer

    async def ping(self) -> None:
        await self._inner.ping()

    async def close(self) -> None:
        await self._inner.close()
