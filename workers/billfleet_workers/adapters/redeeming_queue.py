"""A queue whose claim checks are redeemed on receive: pointers to S3 become the bodies left there.

`main` puts it around the real queue. The pointer stays beside the body, because what is buried are
the bytes that SQS held. Only the buckets that were named are read, whatever a pointer says. While
S3 does not answer, such messages go back and the others are delivered. It decides no outcome: a
pointer that can't be redeemed is delivered as it is, and decoding says why it is poison.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

import structlog

from billfleet_contracts import Pointer, read_pointer
from billfleet_workers.runtime.errors import Unavailable
from billfleet_workers.runtime.ports.objects import ObjectMissing, ObjectStore
from billfleet_workers.runtime.ports.queue import Burial, EntryFailure, Hiding, Queue, Received

BODY_BYTES_MAX: Final = 32 * 1024 * 1024
AWAY_HIDES_FOR_S: Final = 30
AWAY_HIDES_FOR_S_MAX: Final = 3600
"""Each wait is twice the one before: an outage of hours must not use up ten receives."""
OpenStore = Callable[[], Awaitable[ObjectStore]]


class RedeemingQueue:
    """The queue port around another queue.

    Args:
        queue: the real one.
        stores: by bucket, the prefix that its keys must have and how it is opened.
    """

    def __init__(self, queue: Queue, stores: Mapping[str, tuple[str, OpenStore]]) -> None:
        self._queue = queue
        self._stores = stores
        self._log = structlog.get_logger("billfleet.claim_checks").bind(queue=queue.name)

    @property
    def name(self) -> str:
        """The catalogue's name of the queue."""
        return self._queue.name

    async def receive(
        self, *, limit: int, wait_s: float, visibility_timeout_s: int
    ) -> Sequence[Received]:
        """As the queue's own, with bodies in the places of pointers."""
        received = await self._queue.receive(
            limit=limit, wait_s=wait_s, visibility_timeout_s=visibility_timeout_s
        )
        pointers = {
            position: pointer
            for position, message in enumerate(received)
            if (pointer := read_pointer(message.body)) is not None
        }
        if not pointers:
            return received
        bodies = dict(
            zip(pointers, await asyncio.gather(*map(self._redeem, pointers.values())), strict=True)
        )
        away = self._away(received, bodies)
        if away:
            await self._hand_back([received[at] for at in sorted(away)])
        return [
            _with_body(message, bodies.get(at))
            for at, message in enumerate(received)
            if at not in away
        ]

    def _away(
        self, received: Sequence[Received], bodies: Mapping[int, str | Unavailable | None]
    ) -> set[int]:
        """Whose body does not answer; on a FIFO queue also who stands behind one in its group."""
        away = {at for at, body in bodies.items() if isinstance(body, Unavailable)}
        if not self.name.endswith(".fifo"):
            return away
        stopped: set[str | None] = set()
        for at, message in enumerate(received):
            if at in away or message.group_id in stopped:
                stopped.add(message.group_id)
                away.add(at)
        return away

    async def _redeem(self, pointer: Pointer) -> str | Unavailable | None:
        prefix, open_store = self._stores.get(pointer.bucket, ("", None))
        if open_store is None or not pointer.key.startswith(prefix):
            self._refuse(pointer, "this worker does not read from there")
            return None
        try:
            store = await open_store()
            if (await store.head(pointer.key)).bytes_count > BODY_BYTES_MAX:
                self._refuse(pointer, f"it has more than {BODY_BYTES_MAX} bytes")
            else:
                return (await store.get(pointer.key)).decode()
        except Unavailable as error:
            return error
        except ObjectMissing:
            self._refuse(pointer, "there is no such object")
        except UnicodeDecodeError:
            self._refuse(pointer, "it is not UTF-8")
        return None

    def _refuse(self, pointer: Pointer, why: str) -> None:
        self._log.warning("claim_check_refused", bucket=pointer.bucket, key=pointer.key, reason=why)

    async def _hand_back(self, messages: Sequence[Received]) -> None:
        """S3 is away: these are received again when it may be back."""
        hidings = [Hiding(one.receipt_handle, _hidden_for_s(one)) for one in messages]
        longest_s = max(one.visible_in_s for one in hidings)
        self._log.warning("claim_checks_wait", messages=len(messages), at_most_s=longest_s)
        await self._queue.hide(hidings)

    async def delete(self, receipt_handles: Sequence[str]) -> Sequence[EntryFailure | None]:
        """As the queue's own. The object stays: the message may be replayed one day."""
        return await self._queue.delete(receipt_handles)

    async def hide(self, hidings: Sequence[Hiding]) -> Sequence[EntryFailure | None]:
        """As the queue's own."""
        return await self._queue.hide(hidings)

    async def bury(self, burials: Sequence[Burial]) -> Sequence[EntryFailure | None]:
        """As the queue's own."""
        return await self._queue.bury(burials)

    async def recycle(self) -> None:
        """As the queue's own."""
        await self._queue.recycle()

    async def close(self) -> None:
        """As the queue's own; stores are closed by whoever opened them."""
        await self._queue.close()


def _hidden_for_s(message: Received) -> int:
    doublings = min(max(message.receive_count - 1, 0), 10)
    return min(AWAY_HIDES_FOR_S_MAX, AWAY_HIDES_FOR_S << doublings)


def _with_body(message: Received, body: object) -> Received:
    if not isinstance(body, str):
        return message
    return message._replace(body=body, pointer=message.body)
