"""The mailer port in memory, for tests; yours too.

It keeps what it took, in order. `answers` are given before it takes anything else; `lose_answer`
takes the mail and says nothing, as a service whose answer is lost.
"""

from collections import deque

from billfleet_workers.adapters.memory_faults import Faults
from billfleet_workers.runtime.ports.mailer import (
    FinishedMail,
    MailAnswer,
    Rejected,
    Taken,
    Unheard,
)


class MemoryMailer:
    """Mails in a list."""

    name = "memory"

    def __init__(self) -> None:
        self.faults = Faults("the mailer in memory")
        self.taken: list[FinishedMail] = []
        self.answers: deque[MailAnswer] = deque()
        self._answers_to_lose = 0

    def lose_answer(self) -> None:
        """Take the next mail, and do not say so."""
        self._answers_to_lose += 1

    async def send(self, mail: FinishedMail) -> MailAnswer:
        """Take the mail, or give the next answer that was laid out."""
        self.faults.before()
        if self.answers:
            return self.answers.popleft()
        if "@" not in mail.recipient:
            return Rejected("BadRequestException", "the recipient is no address")
        self.taken.append(mail)
        if self._answers_to_lose:
            self._answers_to_lose -= 1
            return Unheard("the answer was lost")
        return Taken(f"memory-{len(self.taken)}")

    async def close(self) -> None:
        """Nothing to let go of."""
