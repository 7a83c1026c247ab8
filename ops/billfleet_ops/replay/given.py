"""A dead-letters port whose messages are given, from a file or from an editor.

`import` and `edit` put it before the real one, so that what they bring is planned, sent and
journalled by the same `run` as everything else. Only receiving is its own.
"""

from collections.abc import Iterator, Sequence
from itertools import islice

from billfleet_workers.runtime.ports.dead_letters import Copy, DeadLetters, DeadMessage, QueueFacts
from billfleet_workers.runtime.ports.queue import EntryFailure, Hiding


class GivenMessages:
    """`inside`: they also stand in the dead-letter queue, and leave it when they are sent."""

    def __init__(
        self, letters: DeadLetters, messages: Iterator[DeadMessage], *, inside: bool
    ) -> None:
        self._letters = letters
        self._messages = messages
        self._inside = inside

    async def describe(self, queue: str) -> QueueFacts | None:
        """As the real one."""
        return await self._letters.describe(queue)

    async def sources(self, url: str) -> Sequence[str]:
        """As the real one."""
        return await self._letters.sources(url)

    async def receive(
        self,
        url: str,  # noqa: ARG002 - there is only what was given
        *,
        limit: int,
        wait_s: float,  # noqa: ARG002 - nothing arrives while one waits
        visibility_timeout_s: int,  # noqa: ARG002 - nobody else can see them
    ) -> Sequence[DeadMessage]:
        """The next of them."""
        return list(islice(self._messages, limit))

    async def send(self, url: str, copies: Sequence[Copy]) -> Sequence[EntryFailure | None]:
        """As the real one."""
        return await self._letters.send(url, copies)

    async def hide(self, url: str, hidings: Sequence[Hiding]) -> Sequence[EntryFailure | None]:
        """As the real one, where they stand there."""
        return await self._letters.hide(url, hidings) if self._inside else [None] * len(hidings)

    async def delete(
        self, url: str, receipt_handles: Sequence[str]
    ) -> Sequence[EntryFailure | None]:
        """As the real one, where they stand there."""
        if self._inside:
            return await self._letters.delete(url, receipt_handles)
        return [None] * len(receipt_handles)

    async def close(self) -> None:
        """Whoever opened the real one closes it."""
