"""Work that waits for its turn is no failure: it is not buried before its turn can come."""

from billfleet_contracts import QUEUES
from billfleet_workers.handlers.email.policy import MailPolicy
from billfleet_workers.handlers.export.handler import turn_in_s
from billfleet_workers.runtime.errors import Transient
from billfleet_workers.runtime.outcome import Retry
from billfleet_workers.runtime.policy import DeliveryPolicy, decide

DAY_S = 24 * 3600


def waited_s(queue: str, waits_s: list[float]) -> float:
    """How long a message of the queue waits that asks for these waits, one after the other."""
    policy = DeliveryPolicy.of(QUEUES[queue], retain_s=60)
    total_s = 0.0
    for receives, wait_s in enumerate(waits_s, start=1):
        outcome = decide(Transient("no turn", retry_after_s=wait_s), receives, policy, 0.5)
        if not isinstance(outcome, Retry):
            return total_s
        total_s += outcome.after_s
    return total_s


def test_mail_outlasts_a_quota_that_was_used_up_within_an_hour() -> None:
    policy = MailPolicy("a@x.test", "b@x.test")
    waits_s = [policy.back_after_s(receives) for receives in range(1, 100)]
    assert waits_s[0] == 600
    assert waited_s("email", waits_s) > DAY_S


def test_export_outlasts_a_day_of_others_of_its_tenant_and_looks_soon_at_first() -> None:
    waits_s = [turn_in_s(60.0, receives) for receives in range(1, 400)]
    assert max(waits_s[:19]) == 30
    assert waited_s("export", waits_s) > DAY_S
