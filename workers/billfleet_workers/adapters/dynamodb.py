"""The dedupe port on DynamoDB: one table, one item a dedupe key.

Delivery uses it through `runtime.ports.dedupe`. A batch of claims is one call while nobody has
seen the keys; a key that exists costs one read of those and, where its lease or its record has
run out, one conditional write. What a record means is decided in `dedupe_records`, how
it is written in `dedupe_statements`; here is the order of the calls.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

from billfleet_workers.adapters.aws_client import AwsClients
from billfleet_workers.adapters.aws_errors import Refused, aws_call
from billfleet_workers.adapters.dedupe_records import (
    Entry,
    claimed_entry,
    describe,
    done_end_s,
    judge,
    lease_end_ms,
    refuse_repeats,
    to_ms,
)
from billfleet_workers.adapters.dedupe_statements import Statements, entry_of
from billfleet_workers.adapters.partiql import (
    FIRST_PAUSE_S,
    ROUNDS_MAX,
    Result,
    Statement,
    Value,
    all_of,
    run_statements,
)
from billfleet_workers.runtime.clock import Clock
from billfleet_workers.runtime.errors import Unavailable
from billfleet_workers.runtime.ports.dedupe import (
    ClaimAnswer,
    Claimed,
    ClaimRequest,
    Completion,
    Held,
    InProgress,
    Record,
)

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient

READ_KEYS_MAX = 100
CONTESTS_MAX = 5
CONTENDED_RETRY_S = 1.0
_NEW = Claimed()


class DynamoDedupeStore:
    """The dedupe records of one stack. It owns its connections."""

    def __init__(self, client: "DynamoDBClient", *, stack: str, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._table = f"{stack}-dedupe"
        self.dependency = f"DynamoDB table {self._table}"
        self._write = Statements(self._table)

    @classmethod
    async def open(
        cls, clients: AwsClients, *, stack: str, clock: Clock, pool_size: int = 32
    ) -> Self:
        """Make the client. Nothing is asked of DynamoDB before the first call."""
        return cls(await clients.open_dynamodb(pool_size=pool_size), stack=stack, clock=clock)

    async def check(self) -> None:
        """Raise `Misconfigured` or `Unavailable` unless the table can be read."""
        await self._read(["billfleet#check"])

    async def claim(self, requests: Sequence[ClaimRequest]) -> Sequence[ClaimAnswer]:
        """Insert a claim for each key; where one exists, answer from it or take it over.

        If this raises, some of the keys may be claimed all the same: a claim repeated with the
        same token is answered `Claimed`, and any other waits for the lease to end.
        """
        refuse_repeats([request.key for request in requests])
        now = self._clock.now()
        results = await self._run(
            [self._write.insert(request.key, claimed_entry(request, now)) for request in requests]
        )
        answers: dict[str, ClaimAnswer] = {}
        contested: list[ClaimRequest] = []
        for request, result in zip(requests, results, strict=True):
            if result.code is None:
                answers[request.key] = _NEW
            else:
                contested.append(request)
        if contested:
            await self._contest(contested, answers)
        return [answers[request.key] for request in requests]

    async def _contest(
        self, contested: Sequence[ClaimRequest], answers: dict[str, ClaimAnswer]
    ) -> None:
        """Settle claims on keys that exist. Who loses a race reads again."""
        taking_over: set[str] = set()
        waiting = list(contested)
        for _ in range(CONTESTS_MAX):
            if not waiting:
                return
            waiting = await self._contest_once(waiting, answers, taking_over)
        shortly = self._clock.now() + timedelta(seconds=CONTENDED_RETRY_S)
        answers.update((request.key, InProgress(shortly)) for request in waiting)

    async def _contest_once(
        self,
        requests: Sequence[ClaimRequest],
        answers: dict[str, ClaimAnswer],
        taking_over: set[str],
    ) -> list[ClaimRequest]:
        entries = await self._read([request.key for request in requests])
        now = self._clock.now()
        attempts: list[tuple[ClaimRequest, Statement]] = []
        numbers: dict[str, int] = {}
        for request in requests:
            seen = entries.get(request.key)
            mine = claimed_entry(request, now, seen)
            numbers[request.key] = mine.attempts
            if seen is None:
                attempts.append((request, self._write.insert(request.key, mine)))
                continue
            answer = judge(seen, request, now)
            if answer is None:
                attempts.append((request, self._write.replace(request.key, seen, mine)))
                taking_over.add(request.key)
            elif isinstance(answer, Claimed):
                answers[request.key] = replace(answer, taken_over=request.key in taking_over)
            else:
                answers[request.key] = answer
        results = await self._run([statement for _, statement in attempts])
        lost: list[ClaimRequest] = []
        for (request, _), result in zip(attempts, results, strict=True):
            if result.code is None:
                answers[request.key] = Claimed(request.key in taking_over, numbers[request.key])
            else:
                lost.append(request)
        return lost

    async def complete(self, completions: Sequence[Completion]) -> Sequence[bool]:
        """Record as done, where the token still stands. Repeating it is harmless."""
        refuse_repeats([completion.key for completion in completions])
        now = self._clock.now()
        results = await self._run(
            [
                self._write.complete(one, to_ms(now), done_end_s(one.retain_s, now))
                for one in completions
            ]
        )
        return [result.code is None for result in results]

    async def release(self, held: Sequence[Held]) -> Sequence[bool]:
        """Delete the claims that are still ours, or set them free with their attempts."""
        refuse_repeats([one.key for one in held])
        results = await self._run([self._write.release(one) for one in held])
        # Deleting what does not exist succeeds, so the answer is whether the item came back.
        return [
            result.code is None and bool(one.failed_attempts or result.item)
            for one, result in zip(held, results, strict=True)
        ]

    async def extend(self, held: Sequence[Held], lease_s: float) -> Sequence[bool]:
        """Move the ends of the leases that are still ours."""
        refuse_repeats([one.key for one in held])
        lease_until_ms = lease_end_ms(lease_s, self._clock.now())
        results = await self._run([self._write.extend(one, lease_until_ms) for one in held])
        return [result.code is None for result in results]

    async def read(self, keys: Sequence[str]) -> Sequence[Record | None]:
        """Look, with consistent reads."""
        entries = await self._read(list(dict.fromkeys(keys)))
        now = self._clock.now()
        return [describe(key, entries[key], now) if key in entries else None for key in keys]

    async def forget(self, key: str, completed_at: datetime) -> bool:
        """Delete a done record, on the condition of its moment."""
        [result] = await self._run([self._write.forget(key, to_ms(completed_at))])
        return result.code is None and bool(result.item)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _run(self, statements: Sequence[Statement]) -> list[Result]:
        return await run_statements(statements, self._execute, self._clock.sleep, self.dependency)

    async def _execute(self, statements: Any) -> Sequence[Mapping[str, Any]]:
        try:
            async with aws_call(self.dependency):
                answer = await self._client.batch_execute_statement(Statements=statements)
        except Refused as refusal:
            raise Unavailable(self.dependency, str(refusal)) from refusal
        responses = answer["Responses"]
        if len(responses) != len(statements):
            reason = f"{len(responses)} answers to {len(statements)} statements"
            raise Unavailable(self.dependency, reason)
        return responses

    async def _read(self, keys: Sequence[str]) -> dict[str, Entry]:
        chunks = [keys[n : n + READ_KEYS_MAX] for n in range(0, len(keys), READ_KEYS_MAX)]
        parts = await all_of(self._read_chunk(chunk) for chunk in chunks)
        return {key: entry for part in parts for key, entry in part.items()}

    async def _read_chunk(self, keys: Sequence[str]) -> dict[str, Entry]:
        wanted: list[Mapping[str, Value]] = [{"pk": {"S": key}} for key in keys]
        found: dict[str, Entry] = {}
        for turn in range(ROUNDS_MAX):
            if turn:
                await self._clock.sleep(FIRST_PAUSE_S * 2 ** (turn - 1))
            items, wanted = await self._read_once(wanted)
            found.update((item["pk"]["S"], entry_of(item)) for item in items)
            if not wanted:
                return found
        raise Unavailable(self.dependency, f"{len(wanted)} keys stayed unread")

    async def _read_once(
        self, wanted: Sequence[Mapping[str, Value]]
    ) -> tuple[Sequence[Mapping[str, Value]], list[Mapping[str, Value]]]:
        request: Any = {self._table: {"Keys": wanted, "ConsistentRead": True}}
        try:
            async with aws_call(self.dependency):
                answer = await self._client.batch_get_item(RequestItems=request)
        except Refused as refusal:
            raise Unavailable(self.dependency, str(refusal)) from refusal
        left: Any = answer.get("UnprocessedKeys") or {}
        items: Any = answer["Responses"].get(self._table, [])
        return items, list(left.get(self._table, {}).get("Keys", ()))
