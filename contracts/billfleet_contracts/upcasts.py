"""Upcasts: how a message of an old version becomes one of the version that handlers know.

Registered in the catalogue and applied by the codec on decode, one step after another. An upcast
is a pure function from the old data to the next version's data; it must not look at the clock,
a database or the envelope.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from billfleet_contracts.event import TYPE_PATTERN

Data = dict[str, object]


@dataclass(frozen=True, slots=True)
class Upcast:
    """One step: data of `from_type` in, data of `to_type` out."""

    from_type: str
    to_type: str
    convert: Callable[[Data], Data]


class Upcasts:
    """The steps of a catalogue, chained.

    Raises:
        ValueError: two steps leave one version, a step changes the event's name, or a step does
            not lead to a higher version. All are mistakes in the catalogue, found at import.
    """

    def __init__(self, steps: Iterable[Upcast] = ()) -> None:
        self._steps: dict[str, Upcast] = {}
        for step in steps:
            _check_step(step)
            if step.from_type in self._steps:
                raise ValueError(f"two upcasts start from {step.from_type}")
            self._steps[step.from_type] = step

    @property
    def old_types(self) -> frozenset[str]:
        """The versions that are still read but no longer written."""
        return frozenset(self._steps)

    def target_of(self, event_type: str) -> str:
        """The version at the end of the chain; `event_type` itself when no step leaves it."""
        while event_type in self._steps:
            event_type = self._steps[event_type].to_type
        return event_type

    def apply(self, event_type: str, data: Data) -> tuple[str, Data]:
        """Walk the chain from `event_type`; returns the last version and its data."""
        while event_type in self._steps:
            step = self._steps[event_type]
            event_type, data = step.to_type, step.convert(dict(data))
        return event_type, data


def _check_step(step: Upcast) -> None:
    old, new = TYPE_PATTERN.fullmatch(step.from_type), TYPE_PATTERN.fullmatch(step.to_type)
    if old is None or new is None:
        raise ValueError(f"not an event type: {step.from_type} or {step.to_type}")
    if old["name"] != new["name"]:
        raise ValueError(f"an upcast keeps the event's name: {step.from_type} -> {step.to_type}")
    if int(old["version"]) >= int(new["version"]):
        raise ValueError(f"an upcast leads upwards: {step.from_type} -> {step.to_type}")
