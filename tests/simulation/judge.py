"""The judge: what must hold at every moment of a schedule, and at its end.

Simulated services and the handler report to it; it compares with books of its own and raises
nothing: the first broken rule ends the schedule. It knows the promises of the ports and of the
runtime, and none of their code. What a fault explains it does not hold against anybody.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from billfleet_workers.runtime.ports.queue import Burial, EntryFailure
from simulation.claim_rules import ClaimRules
from simulation.handler_rules import HandlerRules
from simulation.rules import SKEW_MAX_S, Books
from simulation.seeded_loop import Process

if TYPE_CHECKING:
    from simulation.sim_queue import Stored

DRAIN_MARGIN_S = 0.5


class Judge(ClaimRules, HandlerRules):
    """Holds the rules of one world; its own are those of the queue and of the drain."""

    # The queue reports.

    def asking(self, process: Process, limit: int) -> None:
        self.calling(process, "receive")
        books = self.books[process]
        most = books.in_flight() + books.asking_for + limit
        if most > self.plan.ceiling or limit < 1:
            self.blame(
                "in flight is bounded",
                f"{process.name} asks for {limit} with {books.in_flight()} in flight and "
                f"{books.asking_for} asked for; the bound is {self.plan.ceiling}",
            )

    def handed_out(self, one: "Stored", to: Process) -> None:
        """A message is about to be received (again)."""
        holder = one.holder
        if holder is None or holder.is_dead or one.was_doubled:
            return
        books = self.books[holder]
        running = books.running.get(one.message_id)
        # An older receipt handle can't extend anything.
        is_latest = running is not None and running[0].receive_count == one.receive_count
        if is_latest and not self.is_explained(holder):
            self.blame(
                "visibility is extended while a handler runs",
                f"{one.message_id} goes to {to.name} while {holder.name} works on it",
            )
        is_alone = one.message_id in books.let_down and one.handle in books.seen
        if is_alone and not books.is_draining and not self.is_explained(holder):
            self.blame(
                "nobody pays for a neighbour",
                f"{one.message_id} comes back and was not tried alone",
            )
        event = self.message_events[one.message_id]
        is_poison = event.kind in ("garbage", "stranger")
        # In a FIFO group it goes back with the message before it.
        is_free = not self.plan.fifo and not books.is_draining
        is_tried = one.message_id in books.unburied or self.is_buried(one)
        # A receive whose answer was lost is nobody's first.
        is_free = is_free and one.handle in books.seen and not is_tried
        if is_poison and is_free and not self.is_explained(holder):
            self.blame("poison is buried at its first receive", f"{one.message_id} came back")
        history = self.histories.get(self.message_keys[one.message_id])
        claim = history.claim if history else None
        if (
            claim is not None
            and history is not None
            and claim.token == books.started.get(one.message_id)
            and one.message_id not in books.running
            and history.done_at_s is None
            and claim.lease_until_s > self.time_s() + SKEW_MAX_S
            and not self.is_explained(holder)
        ):
            self.blame(
                "a claim is released before its message comes back",
                f"{one.message_id} comes back and {holder.name} still holds its claim",
            )

    def deleting(self, one: "Stored", process: Process) -> None:
        """A message is about to leave the queue for good."""
        history = self.histories.get(self.message_keys[one.message_id])
        is_done = history is not None and history.done_at_s is not None
        is_buried = self.is_buried(one)
        self.story.tell(process.name, "deletes", one.message_id)
        if self.message_events[one.message_id].kind in ("garbage", "stranger"):
            is_done = False
        if not is_done and not is_buried:
            self.blame(
                "nothing is deleted before it is on record",
                f"{process.name} deletes {one.message_id}, neither completed nor buried",
            )

    def hiding(self, one: "Stored", visible_in_s: float, process: Process) -> None:
        self.story.tell(process.name, "hides", f"{one.handle} for {visible_in_s}")

    def deleted(
        self, process: Process, answers: Sequence[EntryFailure | None], handles: Sequence[str]
    ) -> None:
        """A delete call was answered."""
        for handle, answer in zip(handles, answers, strict=True):
            if answer is None:
                self.books[process].deleted.add(handle)

    def buried(
        self, process: Process, answers: Sequence[EntryFailure | None], burials: Sequence[Burial]
    ) -> None:
        """A bury call was answered."""
        for burial, answer in zip(burials, answers, strict=True):
            self._check_tries(process, burial)
            if answer is not None:
                self.books[process].unburied.add(burial.message_id)

    def _check_tries(self, process: Process, burial: Burial) -> None:
        """Given up is what was tried often enough; being handed back with its group is no try."""
        if not self.plan.fifo or not burial.attributes.get("reason", "").startswith("gave up"):
            return
        history = self.histories.get(self.message_keys[burial.message_id])
        tries = len(history.tokens) if history else 0
        if tries < self.plan.attempts_max:
            self.blame(
                "a message has all its tries",
                f"{process.name} gives {burial.message_id} up after {tries} claims",
            )

    # The world reports.

    def crashed(self, process: Process) -> None:
        self.story.tell(process.name, "CRASH", f"after step {process.steps}")
        self.books[process].running.clear()

    def drained(
        self, process: Process, started_s: float, deadline_s: float, is_sound: bool
    ) -> None:
        """A drain has returned."""
        books, tally = self.books[process], self.books[process].tally
        books.is_over = True
        took_s = self.time_s() - started_s
        self.story.tell(process.name, "drained", f"in {took_s:.3f} s, {tally.as_dict()}")
        frozen_s = process.frozen_until_s
        if took_s > deadline_s + DRAIN_MARGIN_S and frozen_s < started_s:
            self.blame("a drain ends by its deadline", f"{process.name} took {took_s:.2f} s")
        if not is_sound or not tally.adds_up:
            self.blame("the drain ledger adds up", f"{process.name}: {tally.as_dict()}")
        if tally.received != books.received:
            self.blame(
                "the drain ledger adds up",
                f"{process.name} received {books.received}: {tally.as_dict()}",
            )
        if tally.completed + tally.dead_lettered != len(books.deleted):
            self.blame(
                "the drain ledger tells the truth",
                f"{process.name} deleted {len(books.deleted)}: {tally.as_dict()}",
            )
        if books.running:
            self.blame("a drained worker is silent", f"{process.name} still runs a handler")
        if not tally.abandoned and process.disturbed_at_s < started_s - 2 * self.plan.lease_s:
            self._check_handed_back(process, books)

    def _check_handed_back(self, process: Process, books: Books) -> None:
        """What the drained worker had and did not start is for others, at once."""
        for one in self.in_queue():
            key = self.message_keys[one.message_id]
            is_untouched = (
                one.message_id not in books.started
                and one.message_id not in books.unburied
                and key not in books.claimed_keys
            )
            is_in_hand = one.handle in books.seen
            if is_in_hand and is_untouched and one.visible_at_s > self.time_s():
                self.blame(
                    "unstarted messages are handed back at once",
                    f"{one.message_id} stays hidden {one.visible_at_s - self.time_s():.1f} s",
                )
