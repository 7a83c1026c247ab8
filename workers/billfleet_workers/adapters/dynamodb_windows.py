"""The windows port on DynamoDB: one item a key, claimed by conditional writes.

Handlers use it through `runtime.ports.windows`. An insert claims what nobody has claimed; what
exists is taken only on the condition that its `expires_at` has passed, compared with our clock in
the condition itself, because DynamoDB deletes expired items days later (R45, R46). Items lie in the
table of dedupe records: `pk` = `window#<key>`, `expires_at` (its TTL attribute, whole seconds).
"""

import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

from billfleet_workers.adapters.aws_client import AwsClients
from billfleet_workers.adapters.aws_errors import Refused, aws_call
from billfleet_workers.adapters.partiql import Statement, Value, run_statements
from billfleet_workers.runtime.clock import Clock
from billfleet_workers.runtime.errors import Unavailable
from billfleet_workers.runtime.ports.windows import (
    WindowAnswer,
    WindowClaimed,
    WindowClosed,
    WindowHeld,
)

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient

CONTESTS_MAX = 5
_INSERT = (
    "INSERT INTO \"<table>\" VALUE {'pk': ?, 'state': ?, 'token': ?, 'happened_at': ?,"
    " 'expires_at': ?}"
)
_SET = 'UPDATE "<table>" SET "state"=? SET "token"=? SET "happened_at"=? SET "expires_at"=?'
_TAKE_LAPSED = f'{_SET} WHERE "pk"=? AND "expires_at" <= ?'
_CLOSE_OURS = f'{_SET} WHERE "pk"=? AND "token"=?'
_RENEW = 'UPDATE "<table>" SET "expires_at"=? WHERE "pk"=? AND "token"=? AND "state"=?'
_RELEASE = 'DELETE FROM "<table>" WHERE "pk"=? AND "token"=? AND "state"=? RETURNING ALL OLD *'


class DynamoWindows:
    """The windows of one stack. It owns its connections."""

    def __init__(self, client: "DynamoDBClient", *, stack: str, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._table = f"{stack}-dedupe"
        self.dependency = f"DynamoDB table {self._table}"

    @classmethod
    async def open(cls, clients: AwsClients, *, stack: str, clock: Clock) -> Self:
        """Make the client. Nothing is asked of DynamoDB before the first call."""
        return cls(await clients.open_dynamodb(), stack=stack, clock=clock)

    async def claim(self, key: str, token: str, lease_s: int) -> WindowAnswer:
        """Claim the window, or say why not."""
        if await self._write(_INSERT, _text(_pk(key)), *self._claimed(token, lease_s)):
            return WindowClaimed()
        for _ in range(CONTESTS_MAX):
            answer = await self._contest(key, token, lease_s)
            if answer is not None:
                return answer
        return WindowHeld(self._clock.now() + timedelta(seconds=1))

    async def _contest(self, key: str, token: str, lease_s: int) -> WindowAnswer | None:
        """The key exists: what stands in it, or that it has lapsed and is ours now."""
        mine = self._claimed(token, lease_s)
        item = await self._read(key)
        if item is None:
            inserted = await self._write(_INSERT, _text(_pk(key)), *mine)
            return WindowClaimed() if inserted else None
        ends, happened = _instant(item["expires_at"]), item["state"]["S"] == "happened"
        if ends <= self._clock.now():
            taken = await self._write(_TAKE_LAPSED, *mine, _text(_pk(key)), self._now_s())
            return WindowClaimed(taken_over=not happened) if taken else None
        if happened:
            return WindowClosed(_instant(item["happened_at"]), ends)
        if item["token"]["S"] != token:
            return WindowHeld(ends)
        return WindowClaimed() if await self.renew(key, token, lease_s) else None

    async def renew(self, key: str, token: str, lease_s: int) -> bool:
        """Move the end of our lease."""
        ends = self._ends(lease_s)
        return await self._write(_RENEW, ends, _text(_pk(key)), _text(token), _text("claimed"))

    async def record(self, key: str, token: str, happened_at: datetime, until: datetime) -> bool:
        """Keep everybody out until then."""
        closed = (_text("happened"), _text(token), _seconds(happened_at), _seconds(until))
        pk = _text(_pk(key))
        return (
            await self._write(_CLOSE_OURS, *closed, pk, _text(token))
            or await self._write(_TAKE_LAPSED, *closed, pk, self._now_s())
            or await self._write(_INSERT, pk, *closed)
        )

    async def release(self, key: str, token: str) -> bool:
        """Give the window back."""
        ours = (_text(_pk(key)), _text(token), _text("claimed"))
        [result] = await self._run(_RELEASE, ours)
        # Deleting what does not exist succeeds, so the answer is whether the item came back.
        return result.code is None and bool(result.item)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    def _claimed(self, token: str, lease_s: int) -> tuple[Value, ...]:
        return (_text("claimed"), _text(token), {"N": "0"}, self._ends(lease_s))

    def _ends(self, lease_s: int) -> Value:
        return _seconds(self._clock.now() + timedelta(seconds=lease_s))

    def _now_s(self) -> Value:
        return {"N": str(math.floor(self._clock.now().timestamp()))}

    async def _write(self, text: str, *parameters: Value) -> bool:
        [result] = await self._run(text, parameters)
        return result.code is None

    async def _run(self, text: str, parameters: tuple[Value, ...]) -> Any:
        statement = Statement(text.replace("<table>", self._table), parameters)
        return await run_statements([statement], self._execute, self._clock.sleep, self.dependency)

    async def _execute(self, statements: Any) -> Any:
        try:
            async with aws_call(self.dependency):
                answer = await self._client.batch_execute_statement(Statements=statements)
        except Refused as refusal:
            raise Unavailable(self.dependency, str(refusal)) from refusal
        return answer["Responses"]

    async def _read(self, key: str) -> Mapping[str, Value] | None:
        wanted: Any = {self._table: {"Keys": [{"pk": _text(_pk(key))}], "ConsistentRead": True}}
        try:
            async with aws_call(self.dependency):
                answer = await self._client.batch_get_item(RequestItems=wanted)
        except Refused as refusal:
            raise Unavailable(self.dependency, str(refusal)) from refusal
        items: Any = answer["Responses"].get(self._table, [])
        return items[0] if items else None


def _pk(key: str) -> str:
    return f"window#{key}"


def _text(value: str) -> Value:
    return {"S": value}


def _seconds(moment: datetime) -> Value:
    # Rounded up: a window may end a part of a second late, and never early.
    return {"N": str(math.ceil(moment.timestamp()))}


def _instant(value: Value) -> datetime:
    return datetime.fromtimestamp(int(value["N"]), UTC)
