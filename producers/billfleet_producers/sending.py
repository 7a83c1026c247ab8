"""Sending: the state of one send from the first call to the report, without any I/O.

The async and the sync producer both drive it: take a round, wait as it says, make its calls in
any order, hand the answers back, until there is no round left. It decides what is retried and
when; it must not know AWS clients, clocks or event loops. Randomness is an argument.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from billfleet_contracts import Route
from billfleet_producers.errors import ProducerError, SendFailed
from billfleet_producers.outgoing import Outgoing
from billfleet_producers.packing import Batch, check_size, pack
from billfleet_producers.report import Failure, Receipt, Report


@dataclass(frozen=True, slots=True)
class Accepted:
    """AWS took this message of a batch."""

    message_id: str
    sequence_number: str | None = None


Answer = Accepted | ProducerError


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How often, and how long to wait: full jitter below a ceiling that doubles.

    `attempts_max` counts the first call too.
    """

    attempts_max: int = 5
    backoff_base_s: float = 0.1
    backoff_max_s: float = 5.0

    def wait_s(self, attempts_made: int, random: Callable[[], float]) -> float:
        """The wait before the next attempt; none before the first."""
        if attempts_made == 0:
            return 0.0
        ceiling_s = min(self.backoff_max_s, self.backoff_base_s * 2.0 ** (attempts_made - 1))
        return random() * ceiling_s


@dataclass(frozen=True, slots=True)
class Round:
    """What to do next: wait, then make these calls, which do not depend on one another."""

    wait_s: float
    batches: tuple[Batch, ...]


class Sending:
    """One send, until every message is a receipt or a failure.

    Order is kept where it matters: of each FIFO group one message is under way at a time, and
    when one fails for good, those behind it are not sent past it.
    """

    def __init__(
        self,
        messages: Iterable[Outgoing],
        policy: RetryPolicy,
        random: Callable[[], float],
        *,
        refused: Mapping[int, ProducerError] = MappingProxyType({}),
    ) -> None:
        self._messages: Final = tuple(messages)
        self._policy: Final = policy
        self._random: Final = random
        self._ends: Final[dict[int, Receipt | Failure]] = {}
        self._attempts: Final = [0] * len(self._messages)
        for position, error in refused.items():
            self._fail(position, error)
        for position, message in enumerate(self._messages):
            if position not in refused and (too_large := check_size(message)) is not None:
                self._fail(position, too_large)

    def next_round(self) -> Round | None:
        """The next calls, or None when the report is complete."""
        positions = self._ready()
        if not positions:
            return None
        wait_s = self._policy.wait_s(max(self._attempts[p] for p in positions), self._random)
        return Round(wait_s, tuple(pack((p, self._messages[p]) for p in positions)))

    def take(self, batch: Batch, answers: Sequence[Answer] | ProducerError) -> None:
        """Take in what came of one call: an answer per message, or the call's own failure."""
        if isinstance(answers, ProducerError):
            answers = [answers] * len(batch.messages)
        for position, answer in zip(batch.positions, answers, strict=True):
            self._attempts[position] += 1
            if isinstance(answer, Accepted):
                message = self._messages[position]
                receipt = Receipt(message, answer.message_id, answer.sequence_number)
                self._ends[position] = receipt
            elif not answer.retriable or self._attempts[position] >= self._policy.attempts_max:
                self._fail(position, answer)

    def report(self) -> Report:
        """What came of every message, in the order in which they were given."""
        ends = [self._ends[position] for position in sorted(self._ends)]
        return Report(
            sent=tuple(end for end in ends if isinstance(end, Receipt)),
            failed=tuple(end for end in ends if isinstance(end, Failure)),
        )

    def _ready(self) -> list[int]:
        groups_under_way: set[tuple[Route, str | None]] = set()
        ready: list[int] = []
        for position, message in enumerate(self._messages):
            if position in self._ends:
                continue
            if message.is_fifo:
                group = (message.route, message.group_id)
                if group in groups_under_way:
                    continue
                groups_under_way.add(group)
            ready.append(position)
        return ready

    def _fail(self, position: int, error: ProducerError) -> None:
        failed = self._messages[position]
        self._ends[position] = Failure(failed, error)
        if not failed.is_fifo:
            return
        why = f"held back, because {failed.event_id} before it in its FIFO group was not sent"
        held_back = SendFailed(why, code="HeldBack", retriable=error.retriable)
        for later in range(position + 1, len(self._messages)):
            message = self._messages[later]
            if (message.route, message.group_id) == (failed.route, failed.group_id):
                self._ends.setdefault(later, Failure(message, held_back))
