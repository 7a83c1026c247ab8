"""The judge's rules of handlers: who may run, how many, in which order and for how long.

The simulated handler reports its starts and ends.
"""

from collections.abc import Sequence

from billfleet_workers.runtime.handling import Work
from simulation.plan import EventPlan, Word
from simulation.rules import MARGIN_S, Books, Claim, Rules
from simulation.seeded_loop import Process


class HandlerRules(Rules):
    """What holds while handlers run."""

    def started(self, process: Process, work: Work, event: EventPlan) -> None:
        """A handler begins."""
        if self.is_over:
            return
        books, key = self.books[process], self.message_keys[work.message_id]
        self.story.tell(process.name, "handles", f"{work.message_id} (event {event.number})")
        history = self.histories.get(key)
        claim = history.tokens.get(work.token) if history else None
        if history is None or claim is None:
            self.blame("only claimed work is handled", f"{process.name} handles {work.message_id}")
            return
        if (
            history.done_at_s is not None
            and history.done_until_s > self.time_s()
            and history.done_at_s >= claim.granted_s
            and not self.is_explained(process)
        ):
            self.blame("done work is not handled again", f"{process.name} handles {key}")
        if event.kind in ("garbage", "stranger"):
            self.blame("poison reaches no handler", f"{process.name} handles {work.message_id}")
        books.running[work.message_id] = (work, event)
        books.running_since[work.token] = self.time_s()
        books.started[work.message_id] = work.token
        books.let_down.discard(work.message_id)
        self._check_bounds(process, books, event)
        if self.plan.fifo:
            self._check_order(process, work, event)

    def ended(self, process: Process, work: Work, event: EventPlan, how: str) -> None:
        """A handler has returned or raised."""
        if self.is_over or process.is_dead:
            return
        books = self.books[process]
        books.running.pop(work.message_id, None)
        key = self.message_keys[work.message_id]
        self.story.tell(process.name, how, f"{work.message_id} (event {event.number})")
        if how == "let down":
            books.let_down.add(work.message_id)
        if how == "finished":
            self.finished[event.number] = self.finished.get(event.number, 0) + 1
            self._finished_keys[key] = self._finished_keys.get(key, 0) + 1
        claim = self.histories[key].tokens.get(work.token)
        if claim is not None and how == "cancelled":
            self._check_cancelled(process, books, claim, key)
        if (
            claim is not None
            and claim.lease_until_s < self.time_s() - MARGIN_S
            and not self.is_explained(process)
        ):
            self.blame(
                "the lease of a running handler lasts",
                f"{process.name} ends {key} {self.time_s() - claim.lease_until_s:.1f} s after it",
            )

    def cancelled_together(
        self, process: Process, begun: Sequence[tuple[Work, EventPlan, Word]]
    ) -> list[str]:
        """How each of them ends when a call for many is cancelled: one of them is the reason."""
        books = self.books[process]
        culprits = [
            word == "hang" or not self._is_held(work.token, self.message_keys[work.message_id])
            for work, _, word in begun
        ]
        if books.is_draining or not any(culprits):
            return ["cancelled"] * len(begun)
        return ["cancelled" if is_culprit else "let down" for is_culprit in culprits]

    def _is_held(self, token: str, key: str) -> bool:
        history = self.histories[key]
        claim = history.tokens.get(token)
        return claim is not None and history.claim is claim and claim.lease_until_s > self.time_s()

    def _check_cancelled(self, process: Process, books: Books, claim: Claim, key: str) -> None:
        """Only a drain, a lost lease or the deadline may cancel a handler."""
        ran_s = self.time_s() - books.running_since[claim.token]
        is_held = self._is_held(claim.token, key)
        is_allowed = books.is_draining or ran_s > self.plan.deadline_s - MARGIN_S
        if is_held and not is_allowed and not self.is_explained(process):
            self.blame(
                "a handler has all the time of its deadline",
                f"{process.name} cancels {key} after {ran_s:.2f} s of {self.plan.deadline_s}",
            )

    def _check_bounds(self, process: Process, books: Books, event: EventPlan) -> None:
        plan = self.plan
        if len(books.running) > plan.ceiling or books.in_flight() > plan.ceiling:
            self.blame("in flight is bounded", f"{process.name} runs {len(books.running)} handlers")
        same = [e for _, e in books.running.values() if e.tenant == event.tenant]
        if plan.fifo and len(same) > 1:
            self.blame("a group runs one at a time", f"{process.name} runs {len(same)} handlers")
        if plan.tenant_max and not plan.fifo and len(same) > plan.tenant_max:
            self.blame("a tenant is bounded", f"{process.name} runs {len(same)} of {event.tenant}")

    def _check_order(self, process: Process, work: Work, event: EventPlan) -> None:
        """Every message that was sent before it in its group has left the queue, or is done."""
        mine = int(work.message_id[1:])
        for one in self.in_queue():
            if one.number >= mine or one.group_id != event.tenant:
                continue
            history = self.histories.get(self.message_keys[one.message_id])
            is_done = history is not None and history.done_at_s is not None
            if not is_done and not self.is_buried(one):
                self.blame(
                    "a FIFO group stays in order",
                    f"{process.name} handles {work.message_id} before {one.message_id}",
                )
