"""The queue port of one process, over the simulated queue.

What the real adapter is to SQS. It counts, for the judge, what really reached the worker.
"""

from collections.abc import Callable, Sequence

from billfleet_workers.runtime.errors import Unavailable
from billfleet_workers.runtime.ports.queue import Burial, EntryFailure, Hiding, Received
from simulation.seeded_loop import Process
from simulation.sim_queue import NAME, THROTTLED, Poll, SimulatedQueue


class QueueClient:
    """The queue port of one process."""

    def __init__(self, queue: SimulatedQueue, process: Process) -> None:
        self._queue = queue
        self._process = process
        self._network = queue.network
        self._judge = queue.judge
        self.name = NAME

    async def receive(
        self, *, limit: int, wait_s: float, visibility_timeout_s: int
    ) -> Sequence[Received]:
        queue, loop = self._queue, self._queue.loop
        books = self._judge.books[self._process]
        self._judge.asking(self._process, limit)
        if self._network.fault("queue", "receive", "hang"):
            self._process.disturbed_at_s = loop.time()
            self._judge.story.tell(self._process.name, "receive", "fault: never answers")
            await loop.create_future()

        def wait(reply: Callable[[list[Received]], None]) -> None:
            until_s = loop.time() + wait_s
            queue.poll(Poll(self._process, limit, visibility_timeout_s, until_s, reply))

        books.asking_for += limit
        try:
            batch = await self._network.ask("queue", "receive", wait)
        finally:
            books.asking_for -= limit
        books.received += len(batch)
        books.seen.update(one.receipt_handle for one in batch)
        return batch

    async def delete(self, receipt_handles: Sequence[str]) -> Sequence[EntryFailure | None]:
        queue, process = self._queue, self._process
        self._judge.calling(process, "delete")

        def effect() -> list[EntryFailure | None]:
            return [queue.delete(handle, process) for handle in receipt_handles]

        answers = await self._network.call("queue", "delete", effect)
        self._judge.deleted(process, answers, receipt_handles)
        return answers

    async def hide(self, hidings: Sequence[Hiding]) -> Sequence[EntryFailure | None]:
        queue, process = self._queue, self._process
        self._judge.calling(process, "hide")

        def effect() -> list[EntryFailure | None]:
            return [queue.hide(hiding, process) for hiding in hidings]

        self._judge.story.tell(
            process.name, "hide", [(one.receipt_handle, one.visible_in_s) for one in hidings]
        )
        return await self._network.call("queue", "hide", effect)

    async def bury(self, burials: Sequence[Burial]) -> Sequence[EntryFailure | None]:
        queue, process = self._queue, self._process
        self._judge.calling(process, "bury")
        self._judge.story.tell(process.name, "bury", [one.message_id for one in burials])

        def effect() -> list[EntryFailure | None]:
            return [queue.bury(burial, process) for burial in burials]

        try:
            answers = await self._network.call("queue", "bury", effect)
        except Unavailable:
            self._judge.buried(process, [THROTTLED] * len(burials), burials)
            raise
        self._judge.buried(process, answers, burials)
        return answers

    async def recycle(self) -> None:
        """Its connections are never the worse for wear."""

    async def close(self) -> None:
        """Nothing to let go of."""
