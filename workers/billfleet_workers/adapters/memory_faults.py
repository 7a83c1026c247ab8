"""Failures on request, for the in-memory adapters.

Tests and simulations hold one of these beside an adapter and tell it what goes wrong next: the
service is away, an answer is lost after the work was done, single entries are refused. It must
not know which port it serves.
"""

from collections import deque

from billfleet_workers.runtime.errors import Unavailable
from billfleet_workers.runtime.ports.queue import EntryFailure

THROTTLED = EntryFailure("ThrottlingException", "told to refuse this entry", retriable=True)


class Faults:
    """What the adapter is told to get wrong. A verb is the port's method, such as `delete`."""

    def __init__(self, dependency: str) -> None:
        self._dependency = dependency
        self._away: str | None = None
        self._lost: dict[str, int] = {}
        self._refusals: dict[str, deque[EntryFailure | None]] = {}

    def take_away(self, reason: str = "told to be away") -> None:
        """Every call raises `Unavailable` until `bring_back`."""
        self._away = reason

    def bring_back(self) -> None:
        """Calls work again."""
        self._away = None

    def lose_answers(self, verb: str, count: int = 1) -> None:
        """The next calls of a verb do their work and then raise `Unavailable`."""
        self._lost[verb] = self._lost.get(verb, 0) + count

    def refuse_entries(self, verb: str, *failures: EntryFailure | None) -> None:
        """The next entries of a verb fail like this, in order; None lets one through."""
        self._refusals.setdefault(verb, deque()).extend(failures)

    def before(self) -> None:
        """Adapters call it at the start of each call."""
        if self._away is not None:
            raise Unavailable(self._dependency, self._away)

    def entry(self, verb: str) -> EntryFailure | None:
        """Adapters call it for each entry: the failure it must have, if any."""
        waiting = self._refusals.get(verb)
        return waiting.popleft() if waiting else None

    def after(self, verb: str) -> None:
        """Adapters call it when the work is done, before they answer."""
        if self._lost.get(verb, 0) > 0:
            self._lost[verb] -= 1
            raise Unavailable(self._dependency, "the answer was lost")
