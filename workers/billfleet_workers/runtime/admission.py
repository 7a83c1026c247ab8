"""Admission: which of the messages in hand may go on now.

On a standard queue a tenant has at most so many messages at work at once, and its others wait
for one of them to end. On a FIFO queue a group has one message at work; when that one comes back
later, the rest of the group that is in hand goes back too, so that the order holds. Pure
bookkeeping: delivery asks and acts.
"""

from collections import deque
from collections.abc import Sequence

from billfleet_workers.runtime.in_flight import Delivery
from billfleet_workers.runtime.outcome import Retry

BEHIND = Retry(0.0, "a message before it in its group comes back first", "GroupOrder")


class Admission:
    """Lanes of messages: a tenant's on a standard queue, a group's on a FIFO queue."""

    def __init__(self, *, fifo: bool, tenant_max: int | None) -> None:
        self._fifo = fifo
        self._lane_max = 1 if fifo else tenant_max
        self._at_work: dict[str, int] = {}
        self._waiting: dict[str, deque[Delivery]] = {}

    def enter(self, deliveries: Sequence[Delivery]) -> list[Delivery]:
        """Take messages in, in their order; returns those that may go on now."""
        if self._lane_max is None:
            return list(deliveries)
        admitted = []
        for delivery in deliveries:
            lane = self._lane(delivery)
            if self._at_work.get(lane, 0) < self._lane_max:
                self._at_work[lane] = self._at_work.get(lane, 0) + 1
                admitted.append(delivery)
            else:
                self._waiting.setdefault(lane, deque()).append(delivery)
        return admitted

    def leave(self, delivery: Delivery) -> tuple[list[Delivery], list[Delivery]]:
        """A message has ended; returns who may go on now, and who has to go back with it."""
        if self._lane_max is None:
            return [], []
        lane = self._lane(delivery)
        waiting = self._waiting.get(lane)
        if not waiting:
            self._one_less(lane)
            return [], []
        if self._fifo and not _is_out_of_the_way(delivery):
            del self._waiting[lane]
            self._one_less(lane)
            return [], list(waiting)
        following = waiting.popleft()
        if not waiting:
            del self._waiting[lane]
        return [following], []

    def give_up_waiting(self) -> list[Delivery]:
        """Nobody else goes on: returns all who wait."""
        rest = [delivery for lane in self._waiting.values() for delivery in lane]
        self._waiting.clear()
        return rest

    def _one_less(self, lane: str) -> None:
        left = self._at_work[lane] - 1
        if left:
            self._at_work[lane] = left
        else:
            del self._at_work[lane]

    def _lane(self, delivery: Delivery) -> str:
        if self._fifo:
            return delivery.received.group_id or ""
        return delivery.envelope.tenant if delivery.envelope else ""


def _is_out_of_the_way(delivery: Delivery) -> bool:
    """Whether the message has left its queue, so that the next of its group may follow."""
    return delivery.settled and not isinstance(delivery.outcome, Retry)
