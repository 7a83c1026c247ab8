"""Which queue a dead message belongs to.

In this order: the queue that the operator names; the fleet's queue that buried it; the queue that
SQS moved it from; the only queue that redrives here. Pure; `places` looks up what it decides on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from billfleet_contracts import Envelope
from billfleet_ops.replay.reading import Reading
from billfleet_workers.runtime.work_key import work_key


@dataclass(frozen=True, slots=True)
class Address:
    """A queue to send to. `fleet_name` is the catalogue's name where it is the fleet's own."""

    url: str
    name: str
    is_fifo: bool
    fleet_name: str | None = None

    @property
    def is_fleets(self) -> bool:
        """Whether our workers read it, and so the dedupe store knows of its work."""
        return self.fleet_name is not None

    def key_of(self, envelope: Envelope) -> str | None:
        """The work's key in the dedupe store."""
        return work_key(envelope, self.fleet_name) if self.fleet_name else None


@dataclass(frozen=True, slots=True)
class AddressBook:
    """The queues that messages of one dead-letter queue may belong to."""

    named: Address | None
    by_origin: Mapping[str, Address]
    sources: Sequence[Address]

    def find(self, reading: Reading) -> Address | None:
        """Where this message goes; None where that can't be said."""
        if self.named is not None:
            return self.named
        if reading.origin is not None and reading.origin in self.by_origin:
            return self.by_origin[reading.origin]
        arn = reading.message.source_arn
        if arn is not None:
            name = arn.rpartition(":")[2]
            return next((one for one in self.sources if one.name == name), None)
        return self.sources[0] if len(self.sources) == 1 else None
