"""One world: simulated services, workers that run the real runtime, and a judge.

`run` plays a plan from its first message to silence and says which rule was broken, if any. The
runtime comes in unmodified; how its desk is laid says `worker_desk`, what must be true at the end
`ending`.
"""

import itertools
import random
from dataclasses import dataclass

from billfleet_workers.runtime.consumer import Consumer
from billfleet_workers.runtime.supervision import supervise
from simulation.bodies import body_of, key_of
from simulation.effects import Database
from simulation.ending import check_events
from simulation.judge import Judge
from simulation.network import THE_WORLD, Network
from simulation.plan import EventPlan, LifePlan, Plan, WorkerPlan
from simulation.quiet_logs import listening
from simulation.rules import Books, Violation
from simulation.seeded_loop import Process, context_of, new_loop
from simulation.sim_dynamodb import DynamoTable
from simulation.sim_queue import SimulatedQueue
from simulation.story import Story
from simulation.worker_desk import Parts, Services, lay_desk

LOOK_EVERY_S = 1.0
PATIENCE_S = 240.0
LAST_DRAIN_S = 3.5
POLL_WAIT_S = 20.0


@dataclass(frozen=True, slots=True)
class Result:
    """What came of a schedule. `refused` and `repeated` count second effects, by their keys."""

    violation: Violation | None
    steps: int
    virtual_s: float
    refused: int
    repeated: int
    story: Story


@dataclass(slots=True)
class Worker:
    """A worker and the process that it lives in now."""

    plan: WorkerPlan
    index: int
    life: int = 0
    process: Process | None = None
    consumer: Consumer | None = None
    is_ending: bool = False


class World:
    """Everything of one schedule."""

    def __init__(self, plan: Plan, parts: Parts, *, is_told: bool) -> None:
        self.plan = plan
        chance = random.Random(plan.order)
        self.loop = new_loop(chance, is_shuffled=plan.is_shuffled)
        self.story = Story(self.loop.time, is_told=is_told)
        self.judge = Judge(plan, self.loop.time, self.story, self.loop.stop)
        network = Network(plan, self.loop, chance, self.story)
        self.queue = SimulatedQueue(plan, self.loop, chance, network, self.judge)
        self.database = Database(network)
        self.services = Services(
            plan=plan,
            parts=parts,
            loop=self.loop,
            chance=chance,
            judge=self.judge,
            network=network,
            queue=self.queue,
            table=parts.table(self.judge, plan.ttl_late_s),
            items=DynamoTable(self.judge, plan.ttl_late_s),
            database=self.database,
            events={f"e{event.number}": event for event in plan.events},
            calls={},
            tokens=itertools.count(1),
        )
        self.workers = [Worker(worker, n) for n, worker in enumerate(plan.workers)]
        self.sent_again: dict[int, float] = {}
        self.unsent = 0
        self.is_finishing = False
        self.patience_until_s = plan.calm_from_s + PATIENCE_S
        self.judge.burials = lambda: self.queue.dead
        self.judge.in_queue = lambda: self.queue.messages
        self.judge.on_done = self._on_done

    def run(self) -> Result:
        """Play the plan."""
        THE_WORLD.run(self._begin)
        with listening(self.story):
            self.loop.run()
        self.judge.is_over = True
        self.loop.bury_tasks()
        return Result(
            self.judge.violation,
            self.loop.steps,
            self.loop.time(),
            self.database.refused,
            self.database.repeated,
            self.story,
        )

    def _begin(self) -> None:
        for event in self.plan.events:
            if event.kind == "again":
                continue
            for at_s, delay_s in event.sends:
                self.unsent += 1
                self.loop.call_at(at_s, self._send, event, delay_s)
        for worker in self.workers:
            self.loop.call_soon(self._start, worker)
            for at_s, for_s in worker.plan.freezes:
                self.loop.call_at(at_s, self._freeze, worker, at_s + for_s)
        self.loop.call_at(LOOK_EVERY_S, self._look)

    def _send(self, event: EventPlan, delay_s: float) -> None:
        self.unsent -= 1
        if event.kind == "again":
            self.sent_again.setdefault(event.number, self.loop.time())
        # Known to the judge before anybody can receive it.
        message_id = f"m{len(self.judge.message_keys) + 1}"
        self.judge.message_keys[message_id] = key_of(event)
        self.judge.message_events[message_id] = event
        self.story.tell("producer", "sends", f"{message_id}: event {event.number}, {event.kind}")
        self.queue.send(body_of(event), event.tenant, delay_s)

    def _on_done(self, key: str) -> None:
        """The same key again, after the time for which it was to be remembered."""
        for event in self.plan.events:
            if event.kind == "again" and key_of(event) == key:
                self.unsent += 1
                self.loop.call_later(
                    self.plan.retain_s + 3.0, self._send, event, 0.0, context=THE_WORLD
                )

    def _freeze(self, worker: Worker, until_s: float) -> None:
        if worker.process is not None and not worker.process.is_dead:
            self.story.tell(worker.process.name, "FREEZE", f"until {until_s:.3f}")
            worker.process.frozen_until_s = until_s

    def _start(self, worker: Worker) -> None:
        life = worker.plan.lives[worker.life]
        process = Process(worker.index, f"w{worker.index}.{worker.life}")
        process.crash_at_step = life.crash_at_step
        process.drops_in_flight = life.drops_in_flight
        process.on_crash = lambda: THE_WORLD.copy().run(self._crash, worker, life)
        worker.process, worker.is_ending = process, False
        self.story.tell(process.name, "starts")
        home = context_of(process)
        home.run(self._open, worker, process)
        if life.drain_at_s:
            self.loop.call_later(life.drain_at_s, self._drain, worker, life, context=THE_WORLD)

    def _open(self, worker: Worker, process: Process) -> None:
        desk = lay_desk(self.services, process, worker.plan.skew_s)
        worker.consumer = Consumer(desk, receivers=self.plan.receivers, poll_wait_s=POLL_WAIT_S)
        consumer = worker.consumer
        self.judge.books[process] = Books(desk.tally, lambda: consumer.in_flight)
        self.loop.create_task(
            supervise("gate", desk.gate.watch, clock=desk.clock, metrics=desk.metrics)
        )
        consumer.start()

    def _crash(self, worker: Worker, life: LifePlan) -> None:
        process = worker.process
        assert process is not None
        process.is_dead = True
        self.judge.crashed(process)
        self._next_life(worker, life)

    def _next_life(self, worker: Worker, life: LifePlan) -> None:
        if worker.life + 1 < len(worker.plan.lives) and not self.is_finishing:
            worker.life += 1
            worker.is_ending = True
            self.loop.call_later(life.restart_after_s, self._start, worker, context=THE_WORLD)

    def _drain(self, worker: Worker, life: LifePlan) -> None:
        process, consumer = worker.process, worker.consumer
        if process is None or consumer is None or process.is_dead or worker.is_ending:
            return
        worker.is_ending = True
        self.judge.books[process].is_draining = True
        self.story.tell(process.name, "DRAIN", f"deadline {life.drain_deadline_s}")
        draining = self._drained(worker, process, consumer, life)
        self.loop.create_task(draining, context=context_of(process))

    async def _drained(
        self, worker: Worker, process: Process, consumer: Consumer, life: LifePlan
    ) -> None:
        started_s = self.loop.time()
        is_sound = await consumer.drain(life.drain_deadline_s)
        self.judge.drained(process, started_s, life.drain_deadline_s, is_sound)
        self.loop.call_later(0.0, self._exit, worker, process, life, context=THE_WORLD)

    def _exit(self, worker: Worker, process: Process, life: LifePlan) -> None:
        process.is_dead = True
        self._next_life(worker, life)

    def _look(self) -> None:
        """Whether all is over: then everybody drains, and the world ends."""
        now_s = self.loop.time()
        if self.loop.errors:
            self.judge.blame("nothing escapes", self.loop.errors[0])
        if self._is_quiet():
            self._finish()
            return
        if now_s > self.patience_until_s:
            self._blame_stuck()
            return
        self.loop.call_later(LOOK_EVERY_S, self._look)

    def _is_quiet(self) -> bool:
        if self.unsent or self.queue.messages:
            return False
        return not any(
            worker.is_ending or worker.consumer is None or worker.consumer.in_flight
            for worker in self.workers
        )

    def _blame_stuck(self) -> None:
        left = [
            f"{one.message_id} (received {one.receive_count} times)" for one in self.queue.messages
        ]
        held = [
            worker.index for worker in self.workers if worker.consumer and worker.consumer.in_flight
        ]
        self.judge.blame("nothing is stuck at the end", f"in the queue: {left}; held by: {held}")

    def _finish(self) -> None:
        self.is_finishing = True
        check_events(self.services, self.sent_again)
        for worker in self.workers:
            self._drain(worker, LifePlan(drain_deadline_s=LAST_DRAIN_S))
        self.loop.call_later(LAST_DRAIN_S + 25, self.loop.stop)
        self._stop_when_drained()

    def _stop_when_drained(self) -> None:
        if all(worker.process is None or worker.process.is_dead for worker in self.workers):
            self.loop.stop()
        else:
            self.loop.call_later(LOOK_EVERY_S, self._stop_when_drained)


def run(plan: Plan, parts: Parts | None = None, *, is_told: bool = False) -> Result:
    """Play a plan once."""
    return World(plan, parts or Parts(), is_told=is_told).run()
