"""The bugs that the mutation suite plants: verbs gone wrong and parts gone wrong.

Each is as small as the slip that it stands for. `mutants` says which takes whose place.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from billfleet_workers.runtime import consumer, settling
from billfleet_workers.runtime.claiming import claim as sound_claim
from billfleet_workers.runtime.completing import complete as sound_complete
from billfleet_workers.runtime.delivery import Life
from billfleet_workers.runtime.delivery import decode_one as sound_decode
from billfleet_workers.runtime.desk import Desk
from billfleet_workers.runtime.heartbeat import Heartbeat
from billfleet_workers.runtime.in_flight import Delivery
from billfleet_workers.runtime.joint_call import JointCall
from billfleet_workers.runtime.outcome import Done, Duplicate, Poison, Retry
from billfleet_workers.runtime.ports.dedupe import (
    AlreadyDone,
    ClaimAnswer,
    ClaimRequest,
    Completion,
    Held,
    InProgress,
)
from billfleet_workers.runtime.ports.queue import Burial, EntryFailure, Hiding, Received
from billfleet_workers.runtime.tally import Tally
from simulation.sim_dedupe import DedupeTable, Row
from simulation.sim_queue import START

sound_answered = Life._answered

# Bugs of the verbs.


async def complete_later(deliveries: Sequence[Delivery], desk: Desk) -> None:
    held = [d for d in deliveries if d.claimed and isinstance(d.outcome, Done)]

    async def later() -> None:
        await desk.clock.sleep(0.5)
        await sound_complete(held, desk)

    if held:
        asyncio.get_running_loop().create_task(later())


async def complete_whatever_the_answer(deliveries: Sequence[Delivery], desk: Desk) -> None:
    outcomes = [d.outcome for d in deliveries]
    await sound_complete(deliveries, desk)
    for one, outcome in zip(deliveries, outcomes, strict=True):
        one.outcome = outcome


async def release_nothing(deliveries: Sequence[Delivery], desk: Desk) -> None:
    """Leaves every claim to lapse."""


async def settle_deleting_first(deliveries: Sequence[Delivery], desk: Desk) -> None:
    poisoned = [d for d in deliveries if isinstance(d.outcome, Poison)]
    finished = [d for d in deliveries if isinstance(d.outcome, (Done, Duplicate, Poison))]
    waiting = [d for d in deliveries if isinstance(d.outcome, Retry)]
    await settling._delete(finished, desk)
    await settling._bury(poisoned, desk)
    await settling._hide(waiting, desk)


async def claim_what_others_hold(deliveries: Sequence[Delivery], desk: Desk) -> list[Delivery]:
    leaders = await sound_claim(deliveries, desk)
    for leader in leaders:
        if isinstance(leader.outcome, Retry) and leader.outcome.error_class == "InProgress":
            leader.outcome, leader.claimed = None, True
    return leaders


async def settle_followers_at_once(life: Any, deliveries: Sequence[Delivery]) -> None:
    for leader in await sound_claim(deliveries, life._desk):
        early, leader.followers = leader.followers, []
        for follower in early:
            follower.outcome = Duplicate(None, "")
        if early:
            life._settling.put(early)
        if leader.claimed:
            life._handle(leader)
        else:
            life._settling.put([leader])


def retry_poison(one: Delivery, desk: Desk) -> None:
    sound_decode(one, desk)
    if isinstance(one.outcome, Poison):
        one.outcome = Retry(1.0, one.outcome.reason, one.outcome.error_class)


def forget_the_rest(life: Any, waiting: Sequence[Delivery]) -> None:
    life._in_flight -= len(waiting)
    life._desk.heartbeat.forget(waiting)
    life._desk.tally.handed_back += len(waiting)


async def hand_back_nothing(self: Any, batch: Sequence[Received]) -> None:
    self._desk.tally.handed_back += len(batch)


async def never_cut(self: Any) -> None:
    await asyncio.Event().wait()


def room_without_bound(self: Any) -> int:
    free = self._desk.concurrency.limit - self._life.in_flight
    return min(int(free), consumer.BATCH_MAX)


def blame_everybody(life: Any, call: JointCall) -> None:
    if call.answers is not None:
        sound_answered(life, call)
        return
    for one in call.deliveries:
        life._ended(one, ValueError("a defect of somebody"))


def mix_up_answers(life: Any, call: JointCall) -> None:
    if call.answers is not None:
        call.answers = list(reversed(call.answers))
    sound_answered(life, call)


def receives_as_tries(one: Delivery, desk: Desk) -> int:
    return one.received.receive_count


def lane_of_its_own(self: Any, one: Delivery) -> str:
    return one.received.receipt_handle


def cancel_nobody(self: Any) -> None:
    """Leaves the handlers to their own pace."""


# Bugs of the ports and of the parts.


class Wrapped:
    """A port with some verbs replaced."""

    def __init__(self, port: Any) -> None:
        self._port = port

    def __getattr__(self, name: str) -> Any:
        return getattr(self._port, name)


class CompletesNothing(Wrapped):
    async def complete(self, completions: Sequence[Completion]) -> Sequence[bool]:
        return [True] * len(completions)


class IgnoresBuryFailures(Wrapped):
    async def bury(self, burials: Sequence[Burial]) -> Sequence[EntryFailure | None]:
        await self._port.bury(burials)
        return [None] * len(burials)


class IgnoresDeleteFailures(Wrapped):
    async def delete(self, handles: Sequence[str]) -> Sequence[EntryFailure | None]:
        await self._port.delete(handles)
        return [None] * len(handles)


class TouchesBodies(Wrapped):
    async def bury(self, burials: Sequence[Burial]) -> Sequence[EntryFailure | None]:
        tidied = [replace(one, body=one.body.strip("{}")) for one in burials]
        answers: Sequence[EntryFailure | None] = await self._port.bury(tidied)
        return answers


class HidesForAWhile(Wrapped):
    async def hide(self, hidings: Sequence[Hiding]) -> Sequence[EntryFailure | None]:
        kept = [replace(one, visible_in_s=one.visible_in_s or 5) for one in hidings]
        answers: Sequence[EntryFailure | None] = await self._port.hide(kept)
        return answers


class TrustsTtl(DedupeTable):
    def answer(self, row: Row, request: ClaimRequest, now_s: float) -> ClaimAnswer | None:
        return super().answer(replace(row, expires_s=now_s + 1.0), request, now_s)


class TakesNothingOver(DedupeTable):
    def answer(self, row: Row, request: ClaimRequest, now_s: float) -> ClaimAnswer | None:
        if row.is_done or row.payload_hash != request.payload_hash:
            return super().answer(row, request, now_s)
        return InProgress(START)


class TakesLiveLeases(DedupeTable):
    def answer(self, row: Row, request: ClaimRequest, now_s: float) -> ClaimAnswer | None:
        answer = super().answer(row, request, now_s)
        return None if isinstance(answer, InProgress) else answer


class ForgetsWhatIsDone(DedupeTable):
    def answer(self, row: Row, request: ClaimRequest, now_s: float) -> ClaimAnswer | None:
        answer = super().answer(row, request, now_s)
        return None if isinstance(answer, AlreadyDone) else answer


class CompletesUnfenced(DedupeTable):
    def complete(self, one: Completion, now_s: float) -> bool:
        row = self.seen(one.key)
        token = row.token if row else one.token
        return super().complete(one._replace(token=token), now_s)


class ReleasesUnfenced(DedupeTable):
    def release(self, held: Held) -> bool:
        row = self.seen(held.key)
        return super().release(replace(held, token=row.token if row else ""))


class HeartbeatThatForgets(Heartbeat):
    def _is_due(self, delivery: Delivery, now_s: float) -> bool:
        return False


class HeartbeatWithoutLeases(Heartbeat):
    async def _extend_leases(self, due: Sequence[Delivery]) -> None:
        """Extends visibility alone."""


class HeartbeatWithoutVisibility(Heartbeat):
    async def _extend_visibility(self, due: Sequence[Delivery]) -> None:
        """Extends leases alone."""


class HeartbeatWithoutEnd(Heartbeat):
    def _cancel_overdue(self, now_s: float) -> None:
        """Lets a handler run for ever."""

    def _is_due(self, delivery: Delivery, now_s: float) -> bool:
        return True


class HeartbeatThatCountsTheWait(Heartbeat):
    def _cancel_overdue(self, now_s: float) -> None:
        for delivery in self.watched:
            task, age_s = delivery.task, now_s - delivery.received_at_s
            if task is not None and not task.done() and age_s >= self._policy.deadline_s:
                delivery.is_overdue = True
                task.cancel()


class TallyWithoutHandedBack(Tally):
    __slots__ = ()

    @property
    def accounted(self) -> int:
        return super().accounted - self.handed_back
