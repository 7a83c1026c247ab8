"""Fills messages of one tenant and sends them, keeping count of what was not sent and why.

Both sweeps use it. Items that belong together stay in one message where they fit. Nothing that
could not be sent is lost: whatever was due is still due at the next sweep. It knows neither
accounts nor bills.
"""

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from billfleet_contracts import Event
from billfleet_producers import Failure, Producer

ITEMS_PER_MESSAGE_MAX = 100
FAILURES_SHOWN_MAX = 10

Key = TypeVar("Key", bound=Hashable)
Item = TypeVar("Item")


class Packs(Generic[Key, Item]):
    """Open messages by key, each sealed when the next group of items no longer fits."""

    def __init__(self) -> None:
        self._open: dict[Key, list[Item]] = {}

    def add(self, key: Key, group: Sequence[Item]) -> Iterator[tuple[Key, tuple[Item, ...]]]:
        """Put a group into the key's message; yields the messages that are full."""
        pack = self._open.setdefault(key, [])
        if pack and len(pack) + len(group) > ITEMS_PER_MESSAGE_MAX:
            yield key, tuple(pack)
            pack = self._open[key] = []
        pack.extend(group)
        while len(pack) > ITEMS_PER_MESSAGE_MAX:
            yield key, tuple(pack[:ITEMS_PER_MESSAGE_MAX])
            del pack[:ITEMS_PER_MESSAGE_MAX]

    def close(self) -> Iterator[tuple[Key, tuple[Item, ...]]]:
        """Yield what is left, and begin anew."""
        left, self._open = self._open, {}
        for key, pack in left.items():
            if pack:
                yield key, tuple(pack)


@dataclass(slots=True)
class Sent:
    """How many messages left, how many did not, and what the first of those died of."""

    messages: int = 0
    failed: int = 0
    reasons: list[str] = field(default_factory=list)
    is_cut_short: bool = False
    """Nothing at all could be sent any more, so the sweep stopped asking for more work."""


@dataclass(frozen=True, slots=True)
class Parcel:
    """An event on its way, and whose it is."""

    event: Event
    tenant: str
    dedupe_key: str | None = None


class Dispatch:
    """Sends parcels, or only counts them in a dry run."""

    def __init__(self, producer: Producer, *, dry_run: bool) -> None:
        self._producer = producer
        self._dry_run = dry_run
        self.sent = Sent()

    async def send(self, parcels: Sequence[Parcel]) -> None:
        """Send them all, as one batch."""
        if self._dry_run or not parcels:
            self.sent.messages += len(parcels)
            return
        report = await self._producer.send_batch(
            self._producer.prepare(parcel.event, tenant=parcel.tenant, dedupe_key=parcel.dedupe_key)
            for parcel in parcels
        )
        self.sent.messages += len(report.sent)
        self.sent.failed += len(report.failed)
        self._keep(report.failed)
        self.sent.is_cut_short = bool(report.failed) and not report.sent

    def _keep(self, failures: Sequence[Failure]) -> None:
        for failure in failures:
            reason = str(failure.error)
            if reason not in self.sent.reasons and len(self.sent.reasons) < FAILURES_SHOWN_MAX:
                self.sent.reasons.append(reason)
