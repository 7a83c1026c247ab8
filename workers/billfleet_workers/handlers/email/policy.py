"""From whom mails come, and how long they wait. `main` makes it of the settings."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MailPolicy:
    """What differs between installations.

    `lease_s` covers one call of the mail service; `copy_patience_s`, well below it, is how long a
    mail waits for its copy before what the service said is written down. `patience_s` is how long
    a mail waits in a worker for its turn; then it goes back for `back_in_s`, each time for twice
    as long. `keeps_secrets`: kept copies show codes and links that open something, which only a
    stack on one's own machine should do.
    """

    sender: str
    marketing_sender: str
    lease_s: float = 60.0
    copy_patience_s: float = 15.0
    patience_s: float = 300.0
    back_in_s: float = 600.0
    keeps_secrets: bool = False

    def back_after_s(self, receives: int) -> float:
        """How long a mail stays away that found no turn: the queue's longest wait bounds it."""
        return self.back_in_s * 2.0 ** min(receives - 1, 10)
