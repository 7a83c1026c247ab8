"""What lies between a worker and a service: latency, and everything that goes wrong on the way.

Every simulated port makes its calls here. The effect of a request happens at the service, on the
world's time, whether or not the caller is still there; its answer may come late, or never. Which
fault meets which call is the plan's business.
"""

import asyncio
import random
from collections.abc import Callable
from typing import Generic, TypeVar

from billfleet_workers.runtime.errors import Unavailable
from simulation.plan import FaultKind, FaultPlan, Plan, Service
from simulation.seeded_loop import OWNER, Process, SeededLoop, context_of
from simulation.story import Story

T = TypeVar("T")
Reply = Callable[[T], None]

CLIENT_TIMEOUT_S = 1.5
SLOW_S = 1.2
THE_WORLD = context_of(None)
OF_WHOLE_CALLS = frozenset({"throttle", "lost", "late", "slow"})
UNANSWERED = frozenset({"lost", "late"})


class Network:
    """The way to every service of one world."""

    def __init__(self, plan: Plan, loop: SeededLoop, chance: random.Random, story: Story) -> None:
        self.loop = loop
        self.story = story
        self._chance = chance
        self._latency_s = plan.latency_s
        self._faults: dict[tuple[str, str], list[FaultPlan]] = {}
        for fault in plan.faults:
            for verb in fault.verbs:
                self._faults.setdefault((fault.service, verb), []).append(fault)

    def fault(self, service: Service, verb: str, kind: FaultKind) -> bool:
        """Whether a fault of this kind strikes now."""
        for fault in self._faults.get((service, verb), ()):
            if fault.kind == kind and fault.from_s <= self.loop.time() < fault.until_s:
                return self._chance.random() < fault.chance
        return False

    def wait_s(self) -> float:
        """How long a request or its answer takes."""
        if not self._latency_s:
            return 0.0
        return self._latency_s * (0.2 + self._chance.random())

    def late_s(self) -> float:
        """How long a request is lost on the way before it arrives after all."""
        return CLIENT_TIMEOUT_S * (0.5 + 2 * self._chance.random())

    async def call(self, service: Service, verb: str, effect: Callable[[], T]) -> T:
        """Make one call. `Unavailable` where the client would have given up."""

        def serve(reply: Reply[T]) -> None:
            reply(effect())

        return await self.ask(service, verb, serve)

    async def ask(self, service: Service, verb: str, serve: Callable[[Reply[T]], None]) -> T:
        """Make one call that the service answers when it likes to."""
        process = OWNER.get()
        assert process is not None
        kind = self._struck(service, verb)
        if kind is not None:
            process.disturbed_at_s = self.loop.time()
            self.story.tell(process.name, f"{service}.{verb}", f"fault: {kind}")
        call = _Call(self, service, process, kind, serve)
        return await call.answer

    def _struck(self, service: Service, verb: str) -> FaultKind | None:
        for fault in self._faults.get((service, verb), ()):
            if fault.from_s <= self.loop.time() < fault.until_s and fault.kind in OF_WHOLE_CALLS:
                return fault.kind if self._chance.random() < fault.chance else None
        return None


class _Call(Generic[T]):
    """One request on its way, and its answer."""

    __slots__ = ("_kind", "_network", "_process", "_serve", "_service", "answer")

    def __init__(
        self,
        network: Network,
        service: Service,
        process: Process,
        kind: FaultKind | None,
        serve: Callable[[Reply[T]], None],
    ) -> None:
        self._network = network
        self._service = service
        self._process = process
        self._kind = kind
        self._serve = serve
        self.answer: asyncio.Future[T] = network.loop.create_future()
        if kind in UNANSWERED:
            self._later(CLIENT_TIMEOUT_S, self._fail, "no answer in time")
        late_s = network.late_s() if kind == "late" else 0.0
        self._later(network.wait_s() + late_s, self._arrive)

    def _arrive(self) -> None:
        """The request is at the service."""
        if self._process.is_dead and self._process.drops_in_flight:
            return
        if self._kind == "throttle":
            self._later(self._network.wait_s(), self._fail, "throttled")
            return
        try:
            self._serve(self._reply)
        except Unavailable as error:
            self._later(self._network.wait_s(), self._fail, error.reason)

    def _reply(self, value: T) -> None:
        """The service has answered."""
        if self._kind in UNANSWERED:
            # What a receive handed out is hidden now, and its caller does not know.
            self._process.disturbed_at_s = self._network.loop.time()
            return
        slow_s = SLOW_S if self._kind == "slow" else 0.0
        self._later(self._network.wait_s() + slow_s, self._give, value)

    def _give(self, value: T) -> None:
        if not self.answer.done():
            self.answer.set_result(value)

    def _fail(self, reason: str) -> None:
        if not self.answer.done():
            self._process.disturbed_at_s = self._network.loop.time()
            self.answer.set_exception(Unavailable(self._service, reason))

    def _later(self, after_s: float, act: Callable[..., None], *arguments: object) -> None:
        self._network.loop.call_later(after_s, act, *arguments, context=THE_WORLD)
