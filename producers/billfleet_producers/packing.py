"""Packing: which messages share one batch call, by count and by bytes.

Called by the sending core. Pure, and it keeps the order within a route. It must not know AWS
clients; the limits are AWS's documented ones.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from billfleet_contracts import Route
from billfleet_producers.errors import MessageTooLarge
from billfleet_producers.outgoing import Outgoing

BATCH_COUNT_MAX = 10
QUEUE_BYTES_MAX = 1_048_576
TOPIC_BYTES_MAX = 262_144


@dataclass(frozen=True, slots=True)
class Batch:
    """The messages of one batch call, all of one route.

    `positions` says where each stands in the list that the caller gave, since the same message
    may stand there twice.
    """

    route: Route
    messages: tuple[Outgoing, ...]
    positions: tuple[int, ...]


def bytes_max(route: Route) -> int:
    """The limit for one message and for the sum of a batch, which AWS sets to the same."""
    return QUEUE_BYTES_MAX if route.kind == "queue" else TOPIC_BYTES_MAX


def check_size(message: Outgoing) -> MessageTooLarge | None:
    """The error of a message that no batch can carry; None when it fits."""
    limit = bytes_max(message.route)
    if message.size_bytes <= limit:
        return None
    why = f"{message.size_bytes} bytes; a {message.route.kind} carries at most {limit}"
    return MessageTooLarge(why, code="MessageTooLarge")


def pack(messages: Iterable[tuple[int, Outgoing]]) -> list[Batch]:
    """Fill batches greedily, in order within each route.

    Args:
        messages: each with its position. Each must fit its route (`check_size`).
    """
    filling: dict[Route, _Filling] = {}
    packed: list[Batch] = []
    for position, message in messages:
        current = filling.get(message.route)
        if current is None or not current.takes(position, message):
            if current is not None:
                packed.append(current.close())
            filling[message.route] = _Filling(position, message)
    packed += [current.close() for current in filling.values()]
    return packed


class _Filling:
    """A batch that is still being filled, with the bytes that it holds so far."""

    def __init__(self, position: int, message: Outgoing) -> None:
        self._route = message.route
        self._messages = [message]
        self._positions = [position]
        self._room_bytes = bytes_max(message.route) - message.size_bytes

    def takes(self, position: int, message: Outgoing) -> bool:
        if len(self._messages) == BATCH_COUNT_MAX or message.size_bytes > self._room_bytes:
            return False
        self._messages.append(message)
        self._positions.append(position)
        self._room_bytes -= message.size_bytes
        return True

    def close(self) -> Batch:
        return Batch(self._route, tuple(self._messages), tuple(self._positions))
