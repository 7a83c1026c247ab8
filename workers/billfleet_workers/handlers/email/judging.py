"""May a mail be handed to the mail service now? From its row to what follows. Pure.

The handler asks with the row locked. A row in `sending` whose lease has ended belongs to somebody
who died, or heard no answer, after the service was called: the mail may be out. It goes once more,
with a flag, and then never again (R47).
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from billfleet_db.mail import Mail

HANDOVERS_MAX: Final = 2


@dataclass(frozen=True, slots=True)
class Go:
    """Hand it over. `again`: for the second time, and it may be a duplicate."""

    again: bool = False


@dataclass(frozen=True, slots=True)
class Over:
    """Nothing is left to do: sent, refused or given up before."""


@dataclass(frozen=True, slots=True)
class Busy:
    """Somebody has it in hand."""

    until: datetime


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Handed over twice without an answer: nobody knows, and it is not tried again."""


Verdict = Go | Over | Busy | GiveUp


def judge(mail: Mail, now: datetime) -> Verdict:
    """What follows from the row."""
    if mail.state in {"sent", "refused", "uncertain"}:
        return Over()
    if mail.state == "prepared":
        return Go()
    if mail.leased_until is not None and mail.leased_until > now:
        return Busy(mail.leased_until)
    return GiveUp() if mail.attempts >= HANDOVERS_MAX else Go(again=True)
