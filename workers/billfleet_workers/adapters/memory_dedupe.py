"""The dedupe port in memory, for tests and simulations of workers; yours too.

It decides through the same `dedupe_records` as the DynamoDB store and passes the same suite.
Time is the clock's alone, and nothing is ever deleted by age, as with a TTL that has not come
round (R45). `faults` makes it fail on request.
"""

from collections.abc import Sequence
from datetime import datetime

from billfleet_workers.adapters.dedupe_records import (
    NOBODY,
    NOTE_CHARS_MAX,
    RELEASED_MS,
    Entry,
    claim_end_s,
    claimed_entry,
    describe,
    done_end_s,
    judge,
    lease_end_ms,
    refuse_repeats,
    released_note,
    to_ms,
)
from billfleet_workers.adapters.memory_faults import Faults
from billfleet_workers.runtime.clock import Clock
from billfleet_workers.runtime.ports.dedupe import (
    ClaimAnswer,
    Claimed,
    ClaimRequest,
    Completion,
    Held,
    Record,
)


class MemoryDedupeStore:
    """Dedupe records in a dictionary."""

    def __init__(self, clock: Clock) -> None:
        self.faults = Faults("the dedupe store in memory")
        self._clock = clock
        self._entries: dict[str, Entry] = {}

    async def claim(self, requests: Sequence[ClaimRequest]) -> Sequence[ClaimAnswer]:
        """Claim each key, or say why not."""
        refuse_repeats([request.key for request in requests])
        self.faults.before()
        answers = [self._claim(request) for request in requests]
        self.faults.after("claim")
        return answers

    def _claim(self, request: ClaimRequest) -> ClaimAnswer:
        now = self._clock.now()
        seen = self._entries.get(request.key)
        answer = judge(seen, request, now) if seen else None
        if answer is None:
            mine = claimed_entry(request, now, seen)
            self._entries[request.key] = mine
            return Claimed(taken_over=seen is not None, attempts=mine.attempts)
        return answer

    async def complete(self, completions: Sequence[Completion]) -> Sequence[bool]:
        """Record as done, where the token still stands."""
        refuse_repeats([completion.key for completion in completions])
        self.faults.before()
        answers = [self._complete(completion) for completion in completions]
        self.faults.after("complete")
        return answers

    def _complete(self, completion: Completion) -> bool:
        seen = self._entries.get(completion.key)
        if seen is None or seen.token != completion.token:
            return False
        now = self._clock.now()
        self._entries[completion.key] = seen._replace(
            state="done",
            completed_ms=to_ms(now),
            expires_s=done_end_s(completion.retain_s, now),
            note=completion.note[:NOTE_CHARS_MAX],
        )
        return True

    async def release(self, held: Sequence[Held]) -> Sequence[bool]:
        """Delete the claims that are still ours, or set them free with their attempts."""
        refuse_repeats([one.key for one in held])
        self.faults.before()
        answers = [self._is_held(one) for one in held]
        for one, is_held in zip(held, answers, strict=True):
            if is_held and one.failed_attempts:
                note = released_note(one.failed_attempts)
                seen = self._entries[one.key]
                self._entries[one.key] = seen._replace(
                    token=NOBODY, lease_until_ms=RELEASED_MS, note=note
                )
            elif is_held:
                del self._entries[one.key]
        self.faults.after("release")
        return answers

    async def extend(self, held: Sequence[Held], lease_s: float) -> Sequence[bool]:
        """Move the ends of the leases that are still ours."""
        refuse_repeats([one.key for one in held])
        self.faults.before()
        answers = [self._is_held(one) for one in held]
        ends_ms = lease_end_ms(lease_s, self._clock.now())
        for one, is_held in zip(held, answers, strict=True):
            if is_held:
                self._entries[one.key] = self._entries[one.key]._replace(
                    lease_until_ms=ends_ms,
                    expires_s=claim_end_s(ends_ms),
                )
        self.faults.after("extend")
        return answers

    def _is_held(self, held: Held) -> bool:
        seen = self._entries.get(held.key)
        return seen is not None and seen.token == held.token and seen.state == "claimed"

    async def read(self, keys: Sequence[str]) -> Sequence[Record | None]:
        """Look, change nothing."""
        self.faults.before()
        now = self._clock.now()
        return [
            describe(key, self._entries[key], now) if key in self._entries else None for key in keys
        ]

    async def forget(self, key: str, completed_at: datetime) -> bool:
        """Delete a done record, on the condition of its moment."""
        self.faults.before()
        seen = self._entries.get(key)
        is_meant = seen is not None and seen.state == "done"
        if seen is None or not is_meant or seen.completed_ms != to_ms(completed_at):
            return False
        del self._entries[key]
        self.faults.after("forget")
        return True

    async def close(self) -> None:
        """Nothing to let go of."""
