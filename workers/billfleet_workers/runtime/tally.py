"""The drain ledger: where every received message went.

The consumer and delivery count into it; the fleet reads it when it has drained. Every message is
in exactly one column, or the sum does not add up and the process says so with its exit code.
"""

from dataclasses import dataclass, fields


@dataclass(slots=True)
class Tally:
    """Counts of one queue, from start to drain."""

    received: int = 0
    completed: int = 0
    retried: int = 0
    dead_lettered: int = 0
    handed_back: int = 0
    abandoned: int = 0

    @property
    def accounted(self) -> int:
        """Received messages that have left, whichever way."""
        return (
            self.completed + self.retried + self.dead_lettered + self.handed_back + self.abandoned
        )

    @property
    def adds_up(self) -> bool:
        """Whether every received message is accounted for."""
        return self.received == self.accounted

    def as_dict(self) -> dict[str, int]:
        """The columns by name, for a log line."""
        return {field.name: getattr(self, field.name) for field in fields(self)}
