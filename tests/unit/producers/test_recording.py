"""The recordings: faithful enough to test against, and clear when an assertion fails."""

from datetime import date

import pytest

from billfleet_contracts import AccountPeriod, RebillAccounts
from billfleet_producers import (
    Outgoing,
    RecordingProducer,
    RecordingSyncProducer,
    SendFailed,
)


def rebill(account_id: str) -> RebillAccounts:
    period = AccountPeriod(account_id=account_id, period_start=date(2026, 2, 28))
    return RebillAccounts(as_of=date(2026, 3, 2), accounts=(period,))


def test_assertions_find_what_was_sent_and_list_it_when_they_fail() -> None:
    with RecordingSyncProducer() as producer:
        producer.assert_nothing_sent()
        producer.send(rebill("a"), tenant="acme")
    assert producer.assert_sent(rebill("a"), tenant="acme").tenant == "acme"
    assert producer.events(RebillAccounts) == [rebill("a")]
    with pytest.raises(AssertionError, match=r"sent 0 times(.|\n)*1 messages were sent"):
        producer.assert_sent(rebill("b"))
    with pytest.raises(AssertionError, match="sent 0 times"):
        producer.assert_sent(rebill("a"), tenant="beta")
    with pytest.raises(AssertionError, match="1 messages were sent"):
        producer.assert_nothing_sent()


def test_event_sent_twice_fails_the_assertion_that_it_was_sent_once() -> None:
    with RecordingSyncProducer() as producer:
        producer.send_batch([(rebill("a"), "acme")] * 2)
    with pytest.raises(AssertionError, match="sent 2 times"):
        producer.assert_sent(rebill("a"))


async def test_recording_told_to_fail_refuses_what_matches_and_nothing_else() -> None:
    def is_sick(message: Outgoing) -> bool:
        return "sick" in message.body

    async with RecordingProducer() as producer:
        producer.fail(is_sick)
        report = await producer.send_batch([(rebill("sick"), "acme"), (rebill("well"), "acme")])
        with pytest.raises(SendFailed, match="told to fail"):
            await producer.send(rebill("sick"), tenant="acme")
    assert [failure.code for failure in report.failed] == ["ToldToFail"]
    assert producer.events(RebillAccounts) == [rebill("well")]


async def test_recording_told_to_fail_for_a_while_is_retried_without_waiting() -> None:
    busy = SendFailed("busy", code="Busy", retriable=True)
    async with RecordingProducer() as producer:
        producer.fail(error=busy, times=2)
        await producer.send(rebill("a"), tenant="acme")
    assert len(producer.recorder.batches) == 3
    assert len(producer.sent) == 1
