"""One pass over a queue: every message once, hidden meanwhile, and handed back at the end.

`run`, `finding` and `peek` take batches from it. What is looked at must stay hidden until the
pass is over, or it would be received again and again; only the handles are kept, and those in a
temporary file, so that memory does not grow with the queue. It decides nothing about a message.
"""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Self

from billfleet_workers.runtime.clock import Clock
from billfleet_workers.runtime.errors import Unavailable
from billfleet_workers.runtime.ports.dead_letters import DeadLetters, DeadMessage
from billfleet_workers.runtime.ports.queue import Hiding

BATCH = 10
EMPTY_POLLS_MAX = 2
"""SQS answers from some of its servers: one empty answer does not mean an empty queue."""
POLL_WAIT_S = 1.0
HIDDEN_S_MIN = 60
HIDDEN_S_MAX = 6 * 3600
MESSAGES_PER_S_MIN = 100
FAMILIAR_POLLS_MAX = 100
"""What was kept shows again in a pass that outlasts the hiding; so often in a row, it ends."""
HAND_BACK_AT_ONCE = 100


def hidden_s_for(waiting: int) -> int:
    """Long enough for a slow pass over so many messages; after a crash they are back then."""
    return min(HIDDEN_S_MIN + waiting // MESSAGES_PER_S_MIN, HIDDEN_S_MAX)


class Scan:
    """A pass. Use it as a context: leaving it hands back what was kept."""

    def __init__(
        self, letters: DeadLetters, url: str, *, clock: Clock, hidden_s: int, expected: int = 0
    ) -> None:
        self.hidden_s = hidden_s
        self._expected = expected
        self._letters = letters
        self._url = url
        self._clock = clock
        self._seen: set[str] = set()
        self._fruitless = 0
        self._familiar = 0
        self._kept = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115 - closed at the end
        self._kept_count = 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            # What can't be handed back shows again by itself when its time has come.
            with suppress(Unavailable):
                await self._hand_back()
        finally:
            self._kept.close()

    async def next_batch(self, limit: int = BATCH) -> list[DeadMessage]:
        """Messages that this pass has not seen; none means that it is over."""
        while self._fruitless < EMPTY_POLLS_MAX and self._familiar < FAMILIAR_POLLS_MAX:
            received = await self._letters.receive(
                self._url,
                limit=limit,
                wait_s=0 if self._is_complete else POLL_WAIT_S,
                visibility_timeout_s=self.hidden_s,
            )
            fresh = [one for one in received if one.message_id not in self._seen]
            again = [one for one in received if one.message_id in self._seen]
            self.keep(again)
            if fresh:
                self._fruitless = self._familiar = 0
                self._seen.update(one.message_id for one in fresh)
                return fresh
            if again and not self._is_complete:
                self._familiar += 1
            else:
                self._fruitless += EMPTY_POLLS_MAX if self._is_complete else 1
        return []

    @property
    def _is_complete(self) -> bool:
        """As many were seen as the queue was said to hold: one quick look more will do."""
        return 0 < self._expected <= len(self._seen)

    def keep(self, messages: Iterable[DeadMessage]) -> None:
        """These stay in the queue; they show again when the pass is over."""
        for message in messages:
            self._kept.write(message.receipt_handle + "\n")
            self._kept_count += 1

    def kept_hidden(self, messages: Sequence[DeadMessage]) -> AbstractAsyncContextManager[None]:
        """Extend the visibility of these for as long as the context lasts."""
        return kept_hidden(
            self._letters, self._url, messages, clock=self._clock, hidden_s=self.hidden_s
        )

    async def _hand_back(self) -> None:
        self._kept.seek(0)
        hidings: list[Hiding] = []
        for line in self._kept:
            hidings.append(Hiding(line.rstrip("\n"), 0))
            if len(hidings) == HAND_BACK_AT_ONCE:
                await self._letters.hide(self._url, hidings)
                hidings = []
        await self._letters.hide(self._url, hidings)


@asynccontextmanager
async def kept_hidden(
    letters: DeadLetters,
    url: str,
    messages: Sequence[DeadMessage],
    *,
    clock: Clock,
    hidden_s: int,
) -> AsyncIterator[None]:
    """Extend the visibility of these messages for as long as the context lasts."""

    async def extend() -> None:
        while True:
            await clock.sleep(hidden_s / 3)
            hidings = [Hiding(one.receipt_handle, hidden_s) for one in messages]
            with suppress(Unavailable):
                await letters.hide(url, hidings)

    extending = asyncio.create_task(extend())
    try:
        yield
    finally:
        extending.cancel()
        with suppress(asyncio.CancelledError):
            await extending
