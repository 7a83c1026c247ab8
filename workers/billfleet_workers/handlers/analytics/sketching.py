"""Sketches: how many different customers, and how amounts are spread, in a few kilobytes.

Made of a bucket's events and merged at will: which sketches are merged, and in which order, changes
nothing. Customers: HyperLogLog with 2^12 registers, a standard error of 1.6 % (R77). Amounts:
DDSketch, every quantile within 1 % of the true amount, in the tail too, where a sketch with a rank
error reads a neighbour far away. Both libraries are loaded on first use; idle workers stay small.
"""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

LOG2_REGISTERS: Final = 12
CUSTOMERS_ERROR: Final = 1.04 / (1 << LOG2_REGISTERS) ** 0.5
"""One standard error of the number of customers, as a share of it."""
AMOUNTS_ERROR: Final = 0.01
"""How far a quantile may be from the true amount, as a share of it."""


def customers_sketch(customers: Iterable[str]) -> bytes:
    """The sketch of these customers. The same customers give the same bytes."""
    from datasketches import HLL_8, hll_sketch

    made = hll_sketch(LOG2_REGISTERS, HLL_8)
    for customer in sorted(set(customers)):
        made.update(customer)
    return bytes(made.serialize_compact())


def amounts_sketch(amounts_minor: Iterable[int]) -> bytes:
    """The sketch of these amounts. The same amounts give the same bytes."""
    spread = Spread()
    spread.add(amounts_minor)
    return spread.to_bytes()


class Crowd:
    """How many different customers there are in all that was merged into it."""

    def __init__(self) -> None:
        from datasketches import hll_union

        self._union = hll_union(LOG2_REGISTERS)

    def merge(self, sketch: bytes) -> None:
        """Take in a bucket's customers."""
        from datasketches import hll_sketch

        self._union.update(hll_sketch.deserialize(sketch))

    def add(self, customers: Iterable[str]) -> None:
        """Take in customers by name."""
        self.merge(customers_sketch(customers))

    @property
    def customers(self) -> int:
        """The estimate; exact for a few, and within `CUSTOMERS_ERROR` as a standard error."""
        customers: float = self._union.get_estimate()
        return round(customers)


@dataclass(slots=True)
class Spread:
    """How amounts are spread: counts by logarithmic bin, how many were nothing, and the ends."""

    zeros: int = 0
    lowest_minor: int | None = None
    highest_minor: int | None = None
    bins: Counter[int] = field(default_factory=Counter)

    def add(self, amounts_minor: Iterable[int]) -> None:
        """Take in amounts, none of them negative."""
        mapping = _mapping()
        for amount_minor in amounts_minor:
            self._reach(amount_minor, amount_minor)
            if amount_minor == 0:
                self.zeros += 1
            else:
                self.bins[mapping.key(amount_minor)] += 1

    def merge(self, sketch: bytes) -> None:
        """Take in a bucket's amounts."""
        said = json.loads(sketch)
        if said["ends"] is not None:
            self._reach(*said["ends"])
        self.zeros += said["zeros"]
        for key, count in said["bins"]:
            self.bins[key] += count

    def to_bytes(self) -> bytes:
        """The sketch as it is stored."""
        ends = None if self.lowest_minor is None else (self.lowest_minor, self.highest_minor)
        said = {"ends": ends, "zeros": self.zeros, "bins": sorted(self.bins.items())}
        return json.dumps(said, separators=(",", ":")).encode()

    def quantiles_minor(self, wanted: Sequence[float]) -> list[int | None]:
        """The amounts below which these shares of all lie; None where there is none."""
        from ddsketch.ddsketch import BaseDDSketch
        from ddsketch.store import DenseStore

        store = DenseStore()
        for key, count in sorted(self.bins.items()):
            store.add(key, count)
        sketch = BaseDDSketch(_mapping(), store, DenseStore(), self.zeros)
        found = [sketch.get_quantile_value(share) for share in wanted]
        return [None if value is None else self._within(round(value)) for value in found]

    def _reach(self, lowest_minor: int, highest_minor: int) -> None:
        if self.lowest_minor is None or lowest_minor < self.lowest_minor:
            self.lowest_minor = lowest_minor
        if self.highest_minor is None or highest_minor > self.highest_minor:
            self.highest_minor = highest_minor

    def _within(self, amount_minor: int) -> int:
        """No quantile lies outside of what was seen; of equal amounts each is exact."""
        lowest, highest = self.lowest_minor or 0, self.highest_minor or 0
        return min(max(amount_minor, lowest), highest)


def _mapping() -> Any:
    from ddsketch.mapping import LogarithmicMapping

    return LogarithmicMapping(AMOUNTS_ERROR)
