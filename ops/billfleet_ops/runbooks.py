"""The runbooks, each named once: doctor's findings and commands' messages point to them.

A page lies in `ops/runbooks` and is about one thing that an operator meets. A test holds that
every page is here and every name has its page. It knows neither commands nor checks.
"""

from enum import StrEnum


class Runbook(StrEnum):
    """Where to read on, as a path in the repository."""

    DEAD_LETTERS = "ops/runbooks/dead-letter-queue-not-empty.md"
    ATTEMPTS_FOR_A_HUMAN = "ops/runbooks/attempts-for-a-human.md"
    ACCOUNT_PARKED = "ops/runbooks/account-parked.md"
    OUTBOX_GROWING = "ops/runbooks/outbox-growing.md"
    LEDGER_FINDING = "ops/runbooks/ledger-verify-finding.md"
    DRAIN = "ops/runbooks/drain-does-not-add-up.md"
    RECEIVING_PAUSED = "ops/runbooks/receiving-paused.md"
