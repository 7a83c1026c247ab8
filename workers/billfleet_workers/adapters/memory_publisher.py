"""The publisher port in memory, for tests and simulations of the outbox relay; yours too.

It keeps what it accepted, in order. `faults` makes it fail on request.
"""

from collections.abc import Sequence

from billfleet_workers.adapters.memory_faults import Faults
from billfleet_workers.adapters.message_form import refuse_too_large
from billfleet_workers.runtime.ports.publisher import Letter
from billfleet_workers.runtime.ports.queue import EntryFailure


class MemoryPublisher:
    """Letters in a list."""

    def __init__(self) -> None:
        self.faults = Faults("the publisher in memory")
        self.published: list[Letter] = []

    async def publish(self, letters: Sequence[Letter]) -> Sequence[EntryFailure | None]:
        """Keep them; the answer is aligned."""
        self.faults.before()
        answers = [refuse_too_large(letter) or self.faults.entry("publish") for letter in letters]
        self.published += [
            letter for letter, failure in zip(letters, answers, strict=True) if failure is None
        ]
        self.faults.after("publish")
        return answers

    def bodies(self, route_name: str) -> list[str]:
        """What went to one queue or topic."""
        return [letter.body for letter in self.published if letter.route_name == route_name]

    async def close(self) -> None:
        """Nothing to let go of."""
