"""An event loop with virtual time and a seeded order, so that one seed is one schedule.

A `World` runs the real runtime on it. Nothing waits: when nothing is ready, time jumps to the next
timer. What is ready at the same moment runs in an order drawn from the seed (or in asyncio's own,
to tell whether a finding depends on it). Every callback belongs to the process that started it; a
process that is dead runs nothing more, and one that is frozen runs later.
"""

import asyncio
import contextvars
import heapq
import itertools
import random
from collections.abc import Callable, Coroutine, Generator
from typing import Any, TypeVar, TypeVarTuple

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Process:
    """A worker process as the loop sees it: it dies between two steps, or stands still."""

    __slots__ = (
        "crash_at_step",
        "disturbed_at_s",
        "drops_in_flight",
        "frozen_until_s",
        "index",
        "is_dead",
        "name",
        "on_crash",
        "steps",
    )

    def __init__(self, index: int, name: str) -> None:
        self.index = index
        self.name = name
        self.is_dead = False
        self.drops_in_flight = True
        self.frozen_until_s = -1.0
        self.disturbed_at_s = -1e9
        self.steps = 0
        self.crash_at_step = 0
        self.on_crash: Callable[[], None] = lambda: None


OWNER: contextvars.ContextVar[Process | None] = contextvars.ContextVar("owner", default=None)


def context_of(process: Process | None) -> contextvars.Context:
    """A context whose callbacks belong to a process; None: to the world around it."""
    context = contextvars.Context()
    context.run(OWNER.set, process)
    return context


class Step(asyncio.TimerHandle):
    """One callback that waits for its turn."""

    __slots__ = ("act", "arguments", "home", "is_off", "owner")

    # Not asyncio's own constructor: it costs more than all the rest of a step.
    def __init__(  # pyright: ignore[reportMissingSuperCall]
        self, act: Callable[..., object], arguments: tuple[Any, ...], home: contextvars.Context
    ) -> None:
        self.act = act
        self.arguments = arguments
        self.home = home
        self.owner = home.get(OWNER)
        self.is_off = False

    def cancel(self) -> None:
        self.is_off = True

    def cancelled(self) -> bool:
        return self.is_off

    def __repr__(self) -> str:
        return f"<Step {self.act!r}>"


class SeededLoop(asyncio.AbstractEventLoop):
    """Runs callbacks of one world. Not for sockets, threads or signals."""

    def __init__(self, chance: random.Random, *, is_shuffled: bool) -> None:
        self._chance = chance
        self._is_shuffled = is_shuffled
        self._now_s = 0.0
        self._ready: list[Step] = []
        self._timers: list[tuple[float, int, Step]] = []
        self._numbers = itertools.count()
        self._is_stopping = False
        self.tasks: list[asyncio.Task[Any]] = []
        self.errors: list[str] = []
        self.steps = 0

    # What asyncio's tasks, futures, sleeps and timeouts ask of a loop.

    def time(self) -> float:
        return self._now_s

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def call_soon(
        self,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.Handle:
        step = Step(callback, args, context or contextvars.copy_context())
        self._ready.append(step)
        return step

    def call_later(
        self,
        delay: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        step = Step(callback, args, context or contextvars.copy_context())
        heapq.heappush(self._timers, (self._now_s + delay, next(self._numbers), step))
        return step

    def call_at(
        self,
        when: float,
        callback: Callable[[*Ts], object],
        *args: *Ts,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        step = Step(callback, args, context or contextvars.copy_context())
        heapq.heappush(self._timers, (when, next(self._numbers), step))
        return step

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(
        self,
        coro: Generator[Any, None, T] | Coroutine[Any, Any, T],
        *,
        name: str | None = None,
        context: contextvars.Context | None = None,
    ) -> asyncio.Task[T]:
        task = asyncio.Task(coro, loop=self, name=name, context=context)
        self.tasks.append(task)
        return task

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        error = context.get("exception")
        self.errors.append(f"{context.get('message')}: {error!r}")

    # What a world asks of it.

    def stop(self) -> None:
        """Return from `run` after the step that is running."""
        self._is_stopping = True

    def run(self) -> None:
        """Run until `stop` is called or nothing is left to do."""
        before = asyncio._get_running_loop()
        asyncio._set_running_loop(self)
        try:
            while not self._is_stopping and (self._ready or self._timers):
                self._turn()
        finally:
            asyncio._set_running_loop(before)

    def bury_tasks(self) -> None:
        """Throw away what is unfinished, without a word and without its cleanup reaching out."""
        before = asyncio._get_running_loop()
        asyncio._set_running_loop(self)
        try:
            for task in self.tasks:
                if not task.done():
                    task._log_destroy_pending = False  # type: ignore[attr-defined]
                    try:
                        task.get_coro().close()
                    except RuntimeError:
                        continue
                else:
                    task._log_traceback = False
        finally:
            asyncio._set_running_loop(before)
        self.tasks.clear()
        self._ready.clear()
        self._timers.clear()

    def _turn(self) -> None:
        timers = self._timers
        while timers and timers[0][2].is_off:
            heapq.heappop(timers)
        if not self._ready and timers and timers[0][0] > self._now_s:
            self._now_s = timers[0][0]
        while timers and timers[0][0] <= self._now_s:
            self._ready.append(heapq.heappop(timers)[2])
        turn, self._ready = self._ready, []
        if self._is_shuffled and len(turn) > 1:
            if len(turn) > 2:
                self._chance.shuffle(turn)
            elif self._chance.random() < 0.5:
                turn.reverse()
        for position, step in enumerate(turn):
            if not step.is_off:
                self._run_step(step)
                if self._is_stopping:
                    self._ready = turn[position + 1 :] + self._ready
                    return

    def _run_step(self, step: Step) -> None:
        self.steps += 1
        owner = step.owner
        if owner is None:
            step.home.run(step.act, *step.arguments)
            return
        if owner.is_dead:
            return
        if owner.frozen_until_s > self._now_s:
            heapq.heappush(self._timers, (owner.frozen_until_s, next(self._numbers), step))
            return
        owner.steps += 1
        step.home.run(step.act, *step.arguments)
        if owner.steps == owner.crash_at_step:
            owner.on_crash()


def new_loop(chance: random.Random, *, is_shuffled: bool) -> SeededLoop:
    """A loop. What it leaves out of a loop's interface nobody in a world asks for."""
    return SeededLoop(chance, is_shuffled=is_shuffled)  # type: ignore[abstract]
