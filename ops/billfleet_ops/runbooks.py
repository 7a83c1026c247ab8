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
    REPLAYING = "ops/runbooks/replaying-dead-letters.md"
    QUEUE_BEHIND = "ops/runbooks/queue-behind.md"
    NO_WORKER = "ops/runbooks/no-worker-alive.md"
    MANY_RETRIES = "ops/runbooks/many-retries.md"
    MANY_DUPLICATES = "ops/runbooks/many-duplicates.md"
    LEASES_LOST = "ops/runbooks/leases-lost.md"
    WORKER_UNWELL = "ops/runbooks/worker-unwell.md"
    DATABASE_STRAINED = "ops/runbooks/database-strained.md"
    SWEEP_NOT_STARTED = "ops/runbooks/sweep-not-started.md"
    EXPORT_NOT_READY = "ops/runbooks/export-not-ready.md"
    EVENTS_IN_QUARANTINE = "ops/runbooks/events-in-quarantine.md"
    WEBHOOKS_NOT_TAKEN = "ops/runbooks/webhooks-not-taken.md"
    MAILS = "ops/runbooks/mails-not-going-out.md"
