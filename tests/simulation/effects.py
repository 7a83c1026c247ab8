"""The simulated database and the handler that writes to it.

The database refuses a second effect with the same unique key, as the ledger does; events without
one show how often work would be done twice. The handler follows its event's script: it takes
time, fails, hangs, or fails after its effect is in.
"""

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING

from billfleet_workers.runtime.clock import Clock
from billfleet_workers.runtime.errors import Permanent, Transient, Unavailable
from billfleet_workers.runtime.handling import Finished, Work
from simulation.network import Network
from simulation.plan import EventPlan, Word
from simulation.seeded_loop import Process

if TYPE_CHECKING:
    from simulation.judge import Judge


class Database:
    """Effects by their unique key."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self.effects: dict[str, int] = {}
        self.refused = 0
        self.repeated = 0

    async def insert(self, effect_key: str, *, is_unique: bool) -> bool:
        """Write an effect. False: it is there already."""
        return await self._network.call(
            "database", "insert", lambda: self._insert(effect_key, is_unique=is_unique)
        )

    async def insert_all(self, effects: Sequence[tuple[str, bool]]) -> list[bool]:
        """Write effects in one transaction; False for each that is there already."""
        return await self._network.call(
            "database",
            "insert",
            lambda: [self._insert(effect_key, is_unique=unique) for effect_key, unique in effects],
        )

    def _insert(self, effect_key: str, *, is_unique: bool) -> bool:
        seen = self.effects.get(effect_key, 0)
        if seen and is_unique:
            self.refused += 1
            return False
        self.repeated += seen > 0
        self.effects[effect_key] = seen + 1
        return True


class SimulatedHandler:
    """Every event's handler in one process."""

    def __init__(
        self,
        process: Process,
        database: Database,
        clock: Clock,
        judge: "Judge",
        events: dict[str, EventPlan],
        calls: dict[int, int],
    ) -> None:
        self._process = process
        self._database = database
        self._clock = clock
        self._judge = judge
        self._events = events
        self._calls = calls

    async def handle(self, work: Work) -> Finished:
        event, word = self._begin(work)
        ended = "failed"
        try:
            finished = await self._act(event, word)
            ended = "finished"
        except asyncio.CancelledError:
            ended = "cancelled"
            raise
        finally:
            self._judge.ended(self._process, work, event, ended)
        return finished

    def _begin(self, work: Work) -> tuple[EventPlan, Word]:
        event = self._events[work.envelope.id]
        call = self._calls.get(event.number, 0)
        self._calls[event.number] = call + 1
        self._judge.started(self._process, work, event)
        return event, event.script[call] if call < len(event.script) else "ok"

    async def _act(self, event: EventPlan, word: Word) -> Finished:
        if event.work_s:
            await self._clock.sleep(event.work_s / 2)
        is_new = False
        match word:
            case "transient":
                raise Transient("not now")
            case "unavailable":
                raise Unavailable("database", "told to be away")
            case "error":
                raise ValueError("a defect")
            case "permanent":
                raise Permanent("never")
            case "hang":
                await asyncio.Event().wait()
            case _:
                is_new = await self._database.insert(effect_key(event), is_unique=event.is_unique)
        if word == "late_error":
            raise ValueError("a defect after the effect")
        if event.work_s:
            await self._clock.sleep(event.work_s / 2)
        return Finished({"billed": int(is_new)})


_TO_BLAME: dict[Word, type[Exception]] = {"transient": Transient, "permanent": Permanent}
_BREAKS_ALL: frozenset[Word] = frozenset({"error", "late_error", "hang"})


class SimulatedBatchHandler(SimulatedHandler):
    """The same events, several in one call and one transaction.

    A message that is refused is named. A defect, and a hanging one, take the whole call.
    """

    batch_max = 0

    async def handle_batch(self, works: Sequence[Work]) -> Sequence[Finished | Exception]:
        begun = [(work, *self._begin(work)) for work in works]
        ends = ["failed"] * len(begun)
        try:
            answers = await self._act_together([(event, word) for _, event, word in begun])
            ends = ["finished" if isinstance(one, Finished) else "failed" for one in answers]
        except asyncio.CancelledError:
            ends = self._judge.cancelled_together(self._process, begun)
            raise
        except ValueError:
            ends = ["failed" if word in _BREAKS_ALL else "let down" for _, _, word in begun]
            raise
        finally:
            for (work, event, _), end in zip(begun, ends, strict=True):
                self._judge.ended(self._process, work, event, end)
        return answers

    async def _act_together(
        self, begun: Sequence[tuple[EventPlan, Word]]
    ) -> list[Finished | Exception]:
        half_s = max(event.work_s for event, _ in begun) / 2
        words = {word for _, word in begun}
        if half_s:
            await self._clock.sleep(half_s)
        if "unavailable" in words:
            raise Unavailable("database", "told to be away")
        if "error" in words:
            raise ValueError("a defect")
        if "hang" in words:
            await asyncio.Event().wait()
        good = [event for event, word in begun if word not in _TO_BLAME]
        await self._database.insert_all([(effect_key(one), one.is_unique) for one in good])
        if "late_error" in words:
            raise ValueError("a defect after the effects")
        if half_s:
            await self._clock.sleep(half_s)
        return [
            _TO_BLAME[word]("told so") if word in _TO_BLAME else Finished({"billed": 1})
            for _, word in begun
        ]


def effect_key(event: EventPlan) -> str:
    """What makes two effects the same. A second window's event is an effect of its own."""
    return f"{event.tenant}#{event.key}#{event.number if event.kind == 'again' else ''}"
