"""The judge's rules of claims: leases, fencing, and what is done stays done.

The simulated dedupe stores report each write; whoever may claim, complete, release and extend
when is worked out here again, from the port's words alone.
"""

from billfleet_workers.runtime.ports.dedupe import (
    ClaimAnswer,
    Claimed,
    ClaimRequest,
    Completion,
    Held,
    InProgress,
)
from simulation.rules import MARGIN_S, SKEW_MAX_S, Claim, History, Rules
from simulation.seeded_loop import Process


class ClaimRules(Rules):
    """What holds for each dedupe key."""

    def claimed(
        self, process: Process, request: ClaimRequest, answer: ClaimAnswer, now_s: float
    ) -> None:
        self.story.tell(process.name, "claims", f"{request.key}: {type(answer).__name__}")
        self.books[process].claimed_keys.add(request.key)
        if isinstance(answer, Claimed):
            self.granted(process, request.key, request.token, now_s + request.lease_s)

    def answered(
        self, process: Process, request: ClaimRequest, answer: ClaimAnswer, asked_s: float
    ) -> None:
        """A claim was answered; it was asked for at `asked_s`."""
        history = self.histories.get(request.key)
        claim = history.claim if history else None
        if isinstance(answer, InProgress) and claim is not None:
            late_s = asked_s - claim.lease_until_s
            if late_s > SKEW_MAX_S:
                self.blame(
                    "no claim outlives its lease",
                    f"{process.name} is refused {request.key}, {late_s:.1f} s after its lease",
                )

    def live_claims(self) -> list[str]:
        """Claims that somebody holds for no reason: their work is not done, and not under way."""
        return [
            f"{claim.process.name} holds {key}"
            for key, history in self.histories.items()
            if (claim := history.claim) is not None
            and history.done_at_s is None
            and claim.lease_until_s > self.time_s() + SKEW_MAX_S
            and not claim.process.is_dead
            and not self.works_on(claim.process, key)
            and not self.is_explained(claim.process)
        ]

    def granted(self, process: Process, key: str, token: str, until_s: float) -> None:
        """A claim was written."""
        history = self.histories.setdefault(key, History())
        before, now_s = history.claim, self.time_s()
        if history.done_at_s is not None and history.done_until_s > now_s + SKEW_MAX_S:
            self.blame("done work is not claimed again", f"{process.name} claims {key}")
        if before is not None and before.token != token:
            if before.lease_until_s > now_s + SKEW_MAX_S and history.done_at_s is None:
                self.blame("a live lease is not taken", f"{process.name} takes {key}")
            if self.works_on(before.process, key) and not self.is_explained(before.process):
                self.blame(
                    "the lease of a running handler lasts",
                    f"{process.name} takes {key} while {before.process.name} works on it",
                )
        history.claim = Claim(token, process, now_s, until_s)
        history.tokens[token] = history.claim

    def completed(
        self, process: Process, one: Completion, is_recorded: bool, until_s: float
    ) -> None:
        """A completion was written, to be remembered until then, or refused."""
        self.story.tell(process.name, "completes", f"{one.key}: {is_recorded}")
        if not is_recorded:
            return
        history = self.histories.setdefault(one.key, History())
        if history.claim is None or history.claim.token != one.token:
            self.blame(
                "complete is fenced", f"{process.name} completes {one.key} without its claim"
            )
        if self.finished_with(one.key) == 0:
            self.blame("only finished work is completed", f"{process.name} completes {one.key}")
        if history.done_at_s is None:
            self.on_done(one.key)
        history.done_at_s = self.time_s()
        history.done_until_s = until_s - SKEW_MAX_S

    def finished_with(self, key: str) -> int:
        return self._finished_keys.get(key, 0)

    def released(self, process: Process, held: Held, is_released: bool) -> None:
        self.story.tell(process.name, "releases", f"{held.key}: {is_released}")
        if not is_released:
            return
        history = self.histories.setdefault(held.key, History())
        if history.claim is None or history.claim.token != held.token:
            self.blame("release is fenced", f"{process.name} releases {held.key}, not its own")
        history.claim = None

    def extended(self, process: Process, held: Held, is_extended: bool, until_s: float) -> None:
        self.story.tell(process.name, "extends", f"{held.key}: {is_extended}")
        if not is_extended:
            return
        history = self.histories.setdefault(held.key, History())
        claim = history.claim
        if claim is None or claim.token != held.token:
            self.blame("extend is fenced", f"{process.name} extends {held.key}, not its own")
            return
        claim.lease_until_s = until_s
        # Whoever was in a call for many that failed has its time once more, alone.
        deadlines_s = self.plan.deadline_s * (2 if self.plan.batch_max else 1)
        most_s = claim.granted_s + deadlines_s + 2 * self.plan.lease_s + MARGIN_S
        if until_s > most_s + 2 * SKEW_MAX_S and not self.is_explained(process):
            self.blame("nothing is extended for ever", f"{process.name} extends {held.key}")
