"""The bills of one message in the order in which they may be collected.

The handler takes heads and says what became of them. Bills of one account come strictly one after
the other, oldest period first; different accounts go side by side. It knows no database.
"""

from collections import Counter, deque
from collections.abc import Iterable
from itertools import groupby
from operator import attrgetter

from billfleet_contracts import ChargeRef


class BillQueue:
    """What is left of a message, and what has become of the rest."""

    def __init__(self, refs: Iterable[ChargeRef]) -> None:
        ordered = sorted(refs, key=attrgetter("account_id", "period_start"))
        groups = groupby(ordered, attrgetter("account_id"))
        self._waiting = {account_id: deque(group) for account_id, group in groups}
        self.tally: Counter[str] = Counter()
        self.again_in_s: float | None = None

    def heads(self, limit: int) -> list[ChargeRef]:
        """The oldest bill that is left of each of so many accounts."""
        return [refs[0] for refs in list(self._waiting.values())[:limit]]

    def done(self, ref: ChargeRef, note: str) -> None:
        """The bill is in a recorded state; the account's next one may follow."""
        self.tally[note] += 1
        refs = self._waiting[ref.account_id]
        refs.popleft()
        if not refs:
            del self._waiting[ref.account_id]

    def look_again(self, note: str) -> None:
        """Another bill stood in the way and is settled now: this one is decided anew."""
        self.tally[note] += 1

    def stop(self, ref: ChargeRef, note: str, again_in_s: float | None) -> None:
        """Leave the rest of the account alone, until the message comes again if it has to."""
        refs = self._waiting.pop(ref.account_id)
        self.tally[note] += 1
        if len(refs) > 1:
            self.tally["left_for_later"] += len(refs) - 1
        if again_in_s is not None:
            self.again_in_s = max(self.again_in_s or 0.0, again_in_s)
