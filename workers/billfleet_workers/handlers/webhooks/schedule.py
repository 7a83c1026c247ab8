"""When a delivery is tried again, and when an endpoint is given up. Pure.

Waits as the Standard Webhooks specification recommends them, within what SQS can hide a message
for: about a day and a half in all. What is left then rests in the dead-letter queue.
"""

from datetime import datetime, timedelta
from typing import Final

WAITS_S: Final = (5, 60, 300, 1800, 7200, 18_000, 36_000, 36_000, 36_000)
TRIES_MAX: Final = len(WAITS_S) + 1
JITTER: Final = 0.2
GIVEN_UP_AFTER: Final = timedelta(days=5)


def wait_s(tries: int, jitter: float) -> float | None:
    """Seconds until the next try after so many; None: there is none. `jitter` is from 0 to 1.

    Never longer than the last wait of the table, which is as long as the queue's own limit.
    """
    if tries >= TRIES_MAX:
        return None
    return WAITS_S[tries - 1] * (1 - JITTER * jitter)


def is_given_up(failing_since: datetime, now: datetime) -> bool:
    """Whether an endpoint that failed without a break since then is switched off."""
    return now - failing_since >= GIVEN_UP_AFTER
