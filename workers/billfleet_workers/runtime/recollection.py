"""What a process remembers of deliveries: how each ended, and what went back and is not finished.

`recording` tells it; the beats take what was told, and ask for the age of the oldest message that
is not finished. SQS's own age metric leaves out messages that were received three times or more,
which are the very ones that this remembers. Everything is bounded: the newest are kept, and how
many were left out is counted. Nothing is written here.
"""

from collections import deque
from datetime import datetime
from typing import NamedTuple

UNFINISHED_MAX = 10_000
DONE_MAX = 10_000
SETBACKS_MAX = 1_000
GRACE_S = 600.0
"""Past its return by so much, a message is somebody else's, or gone."""


class Ended(NamedTuple):
    """One delivery, and what it ended with. `note` is the reason, or what the handler counted."""

    at: datetime
    queue: str
    message_id: str
    event_id: str | None
    event_type: str
    tenant: str | None
    source: str | None
    dedupe_key: str | None
    outcome: str
    note: str
    error_class: str
    receive_count: int
    handle_ms: float


class Recollection:
    """One queue's, in one process. With `keeps_done` off, only setbacks are kept."""

    def __init__(self, *, keeps_done: bool = True) -> None:
        self.left_out = 0
        self._keeps_done = keeps_done
        self._unfinished: dict[str, tuple[datetime, float]] = {}
        self._done: deque[Ended] = deque(maxlen=DONE_MAX)
        self._setbacks: deque[Ended] = deque(maxlen=SETBACKS_MAX)

    def went_back(self, message_id: str, sent_at: datetime | None, back_at_s: float) -> None:
        """It is hidden and comes again."""
        self._unfinished.pop(message_id, None)
        if sent_at is None:
            return
        if len(self._unfinished) >= UNFINISHED_MAX:
            del self._unfinished[next(iter(self._unfinished))]
        self._unfinished[message_id] = (sent_at, back_at_s + GRACE_S)

    def is_over(self, message_id: str) -> None:
        """It was finished, or buried."""
        self._unfinished.pop(message_id, None)

    def note(self, one: Ended, *, is_setback: bool) -> None:
        """Keep it for the next beat."""
        if not is_setback and not self._keeps_done:
            return
        notes = self._setbacks if is_setback else self._done
        if len(notes) == notes.maxlen:
            self.left_out += 1
        notes.append(one)

    def take(self) -> list[Ended]:
        """What was noted since it was last taken."""
        taken = [*self._setbacks, *self._done]
        self._setbacks.clear()
        self._done.clear()
        return taken

    def oldest_sent_at(self, now_s: float) -> datetime | None:
        """When the oldest message that went back was sent."""
        for message_id in [one for one, (_, end_s) in self._unfinished.items() if end_s < now_s]:
            del self._unfinished[message_id]
        return min((sent_at for sent_at, _ in self._unfinished.values()), default=None)
