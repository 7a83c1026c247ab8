"""What did not end at the first try: messages that went back, and why, until they end.

`recording` notes each outcome; beats ask for the age of the oldest message that is not finished,
and carry the setbacks away. SQS's own age metric leaves out messages that were received three
times or more, which are the very ones that this remembers. Bounded: in an outage the newest are
kept, and how many were left out is counted.
"""

from collections import deque
from dataclasses import dataclass
from datetime import datetime

UNFINISHED_MAX = 10_000
NOTES_MAX = 500
GRACE_S = 600.0
"""Past its return by so much, a message is somebody else's, or gone."""


@dataclass(frozen=True, slots=True)
class Setback:
    """One delivery that ended in a retry or as poison."""

    at: datetime
    queue: str
    message_id: str
    event_id: str | None
    event_type: str
    tenant: str | None
    outcome: str
    reason: str
    error_class: str
    receive_count: int


class Setbacks:
    """One queue's, in one process."""

    def __init__(self) -> None:
        self._unfinished: dict[str, tuple[datetime, float]] = {}
        self._notes: deque[Setback] = deque(maxlen=NOTES_MAX)
        self.left_out = 0

    def went_back(self, message_id: str, sent_at: datetime | None, back_at_s: float) -> None:
        """It is hidden and comes again."""
        self._unfinished.pop(message_id, None)
        if sent_at is None:
            return
        if len(self._unfinished) >= UNFINISHED_MAX:
            del self._unfinished[next(iter(self._unfinished))]
        self._unfinished[message_id] = (sent_at, back_at_s + GRACE_S)

    def ended(self, message_id: str) -> None:
        """It was finished, or buried."""
        self._unfinished.pop(message_id, None)

    def note(self, setback: Setback) -> None:
        """Keep it for the next beat."""
        if len(self._notes) == NOTES_MAX:
            self.left_out += 1
        self._notes.append(setback)

    def take(self) -> list[Setback]:
        """What was noted since it was last taken."""
        taken = list(self._notes)
        self._notes.clear()
        return taken

    def oldest_sent_at(self, now_s: float) -> datetime | None:
        """When the oldest message that went back was sent."""
        for message_id in [one for one, (_, end_s) in self._unfinished.items() if end_s < now_s]:
            del self._unfinished[message_id]
        return min((sent_at for sent_at, _ in self._unfinished.values()), default=None)
