"""The sending core: what shares a call, what is tried again, what is reported."""

from collections.abc import Callable

import pytest

from billfleet_contracts import Route
from billfleet_producers import (
    BatchFailed,
    MessageTooLarge,
    NotPermitted,
    Outgoing,
    RetryPolicy,
    SendFailed,
)
from billfleet_producers.packing import BATCH_COUNT_MAX, Batch, pack
from billfleet_producers.sending import Accepted, Answer, Sending

QUEUE = Route("queue", "rebill")
TOPIC = Route("topic", "events")
BUSY = SendFailed("busy", code="ServiceUnavailable", retriable=True)
BAD = SendFailed("bad", code="InvalidMessageContents")


def message(
    name: str,
    *,
    route: Route = QUEUE,
    size: int = 1,
    group: str = "acme",
    fifo: bool = False,
    event_type: str | None = None,
) -> Outgoing:
    return Outgoing(name, route, "x" * size, group, name if fifo else None, event_type)


def sizes(batches: list[Batch]) -> list[int]:
    return [len(batch.messages) for batch in batches]


def run(
    sending: Sending, answer: Callable[[Outgoing], Answer]
) -> tuple[list[list[str]], list[float]]:
    """Drive a sending to its end; returns the names of each call and the waits."""
    calls: list[list[str]] = []
    waits: list[float] = []
    while (turn := sending.next_round()) is not None:
        waits.append(turn.wait_s)
        for batch in turn.batches:
            calls.append([each.event_id for each in batch.messages])
            sending.take(batch, [answer(each) for each in batch.messages])
    return calls, waits


def accept(outgoing: Outgoing) -> Answer:
    return Accepted(f"id-of-{outgoing.event_id}")


def sending_of(*messages: Outgoing, policy: RetryPolicy | None = None) -> Sending:
    return Sending(messages, policy or RetryPolicy(), lambda: 1.0)


def test_batch_holds_ten_messages_of_one_route_in_order() -> None:
    messages = [message(str(n), route=TOPIC if n % 3 == 0 else QUEUE) for n in range(36)]
    batches = pack(enumerate(messages))
    assert sorted(sizes(batches)) == [2, 4, 10, 10, 10]
    for batch in batches:
        assert {each.route for each in batch.messages} == {batch.route}
        assert list(batch.positions) == sorted(batch.positions)
        assert [messages[p] for p in batch.positions] == list(batch.messages)
    assert sorted(p for batch in batches for p in batch.positions) == list(range(36))
    assert BATCH_COUNT_MAX == 10


def test_batch_is_full_at_exactly_the_byte_limit() -> None:
    half = 1_048_576 // 2
    assert sizes(pack(enumerate([message("a", size=half), message("b", size=half)]))) == [2]
    assert sizes(pack(enumerate([message("a", size=half), message("b", size=half + 1)]))) == [1, 1]


def test_topic_batch_is_cut_at_256_kib_with_attributes_counted() -> None:
    half = 262_144 // 2
    plain = [message(name, route=TOPIC, size=half) for name in "ab"]
    typed = [message(name, route=TOPIC, size=half, event_type="t") for name in "ab"]
    assert sizes(pack(enumerate(plain))) == [2]
    assert sizes(pack(enumerate(typed))) == [1, 1]


def test_size_counts_utf8_bytes_and_each_attributes_name_type_and_value() -> None:
    outgoing = Outgoing("e", TOPIC, "é€", event_type="abc")
    assert outgoing.size_bytes == 5 + len("type") + len("String") + 3
    assert Outgoing("e", QUEUE, "é€", event_type="abc").size_bytes == 5


def test_too_large_message_is_never_called_for_and_its_neighbours_go() -> None:
    sending = sending_of(
        message("a"), message("b", size=1_048_577), message("c", route=TOPIC, size=262_145)
    )
    calls, _ = run(sending, accept)
    report = sending.report()
    assert calls == [["a"]]
    assert [(f.what.event_id, type(f.error)) for f in report.failed] == [
        ("b", MessageTooLarge),
        ("c", MessageTooLarge),
    ]


def test_only_entries_that_failed_for_now_are_tried_again() -> None:
    tries: dict[str, int] = {}

    def answer(outgoing: Outgoing) -> Answer:
        name = outgoing.event_id
        tries[name] = tries.get(name, 0) + 1
        if name == "bad":
            return BAD
        return BUSY if name == "busy" and tries[name] < 3 else accept(outgoing)

    sending = sending_of(message("fine"), message("bad"), message("busy"))
    calls, waits = run(sending, answer)
    assert calls == [["fine", "bad", "busy"], ["busy"], ["busy"]]
    assert waits == [0.0, 0.1, 0.2]
    report = sending.report()
    assert [receipt.event_id for receipt in report.sent] == ["fine", "busy"]
    assert [(f.what.event_id, f.code, f.retriable) for f in report.failed] == [
        ("bad", "InvalidMessageContents", False)
    ]


def test_patience_ends_with_the_last_error_and_says_that_it_may_be_retried() -> None:
    sending = sending_of(message("a"), policy=RetryPolicy(attempts_max=3))
    calls, waits = run(sending, lambda _: BUSY)
    assert len(calls) == 3
    assert waits == [0.0, 0.1, 0.2]
    assert sending.report().failed[0].error is BUSY


def test_wait_is_full_jitter_below_a_doubling_ceiling() -> None:
    policy = RetryPolicy(backoff_base_s=1.0, backoff_max_s=5.0)
    assert [policy.wait_s(n, lambda: 1.0) for n in range(5)] == [0.0, 1.0, 2.0, 4.0, 5.0]
    assert policy.wait_s(3, lambda: 0.0) == 0.0
    assert policy.wait_s(3, lambda: 0.25) == 1.0


def test_failure_of_the_whole_call_is_the_failure_of_each_message() -> None:
    sending = sending_of(message("a"), message("b"))
    turn = sending.next_round()
    assert turn is not None
    sending.take(turn.batches[0], NotPermitted("no", code="AccessDenied"))
    assert sending.next_round() is None
    assert [failure.code for failure in sending.report().failed] == ["AccessDenied"] * 2


def test_same_message_given_twice_is_sent_twice() -> None:
    twice = message("a")
    sending = sending_of(twice, twice)
    run(sending, accept)
    assert len(sending.report().sent) == 2


def test_fifo_group_has_one_message_under_way_and_other_groups_do_not_wait() -> None:
    names = [("a1", "a"), ("a2", "a"), ("b1", "b"), ("a3", "a")]
    sending = sending_of(*(message(name, group=group, fifo=True) for name, group in names))
    calls, waits = run(sending, accept)
    assert calls == [["a1", "b1"], ["a2"], ["a3"]]
    assert waits == [0.0, 0.0, 0.0]
    assert [receipt.event_id for receipt in sending.report().sent] == ["a1", "a2", "b1", "a3"]


def test_fifo_message_behind_one_that_failed_is_held_back() -> None:
    def answer(outgoing: Outgoing) -> Answer:
        return BAD if outgoing.event_id == "a1" else accept(outgoing)

    names = [("a0", "a"), ("a1", "a"), ("a2", "a"), ("b1", "b")]
    sending = sending_of(*(message(name, group=group, fifo=True) for name, group in names))
    calls, _ = run(sending, answer)
    assert calls == [["a0", "b1"], ["a1"]]
    report = sending.report()
    assert [receipt.event_id for receipt in report.sent] == ["a0", "b1"]
    assert [(f.what.event_id, f.code) for f in report.failed] == [
        ("a1", "InvalidMessageContents"),
        ("a2", "HeldBack"),
    ]


def test_held_back_message_may_be_sent_again_when_the_one_before_it_may() -> None:
    one_try = RetryPolicy(attempts_max=1)
    sending = sending_of(message("a1", fifo=True), message("a2", fifo=True), policy=one_try)
    run(sending, lambda _: BUSY)
    assert [(f.code, f.retriable) for f in sending.report().failed] == [
        ("ServiceUnavailable", True),
        ("HeldBack", True),
    ]


def test_report_raises_once_for_all_failures() -> None:
    sending = sending_of(message("a"), message("b"), message("c"))
    run(sending, lambda each: accept(each) if each.event_id == "a" else BAD)
    report = sending.report()
    with pytest.raises(BatchFailed, match=r"2 not sent, 1 sent.*bad") as caught:
        report.raise_for_failures()
    assert caught.value.errors == (BAD, BAD)
    assert not caught.value.retriable
