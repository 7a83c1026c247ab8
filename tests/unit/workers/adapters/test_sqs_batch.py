"""How batches are cut, and how the answers find back."""

from collections.abc import Mapping
from typing import Any

import pytest

from billfleet_workers.adapters.aws_errors import Refused
from billfleet_workers.adapters.sqs_batch import Batch, Entry, pack, read_answer, run_batches
from billfleet_workers.runtime.errors import Unavailable
from billfleet_workers.runtime.ports.queue import EntryFailure


def test_batches_are_cut_by_count() -> None:
    assert [len(batch) for batch in pack([1] * 23, bytes_max=1000)] == [10, 10, 3]


def test_batches_are_cut_by_bytes_and_filled_to_the_last_one() -> None:
    assert pack([60, 40, 1, 100, 99], bytes_max=100) == [[0, 1], [2], [3], [4]]


def test_what_is_too_big_stands_alone() -> None:
    assert pack([1, 500, 1], bytes_max=100) == [[0], [1], [2]]


def test_entry_that_the_answer_leaves_out_has_not_succeeded() -> None:
    [first, second] = read_answer({"Successful": [{"Id": "0"}]}, 2)
    assert first is None
    assert second is not None
    assert second.retriable


@pytest.mark.parametrize(
    ("code", "sender_fault", "retriable"),
    [
        ("ReceiptHandleIsInvalid", True, False),
        ("InternalError", False, True),
        ("RequestThrottled", True, True),
    ],
)
def test_failed_entry_says_whether_asking_again_can_help(
    code: str, sender_fault: bool, retriable: bool
) -> None:
    failed = {"Id": "0", "Code": code, "Message": "why", "SenderFault": sender_fault}
    assert read_answer({"Failed": [failed]}, 1) == [EntryFailure(code, "why", retriable)]


def ids(entries: list[Entry]) -> Mapping[str, Any]:
    return {"Successful": [{"Id": entry["Id"]} for entry in entries]}


async def test_entry_ids_are_distinct_within_a_call() -> None:
    calls: list[list[str]] = []

    async def call(entries: list[Entry]) -> Mapping[str, Any]:
        calls.append([entry["Id"] for entry in entries])
        return ids(entries)

    entries: list[Entry] = [{"n": n} for n in range(12)]
    batches = [Batch(call, range(10)), Batch(call, [10, 11])]
    assert await run_batches(batches, entries) == [None] * 12
    assert calls == [[str(n) for n in range(10)], ["0", "1"]]


async def test_entry_that_makes_aws_refuse_the_call_fails_alone() -> None:
    async def call(entries: list[Entry]) -> Mapping[str, Any]:
        if any(entry["n"] == 1 for entry in entries):
            raise Refused("InvalidMessageContents", "not XML")
        return ids(entries)

    failure = EntryFailure("InvalidMessageContents", "not XML", retriable=False)
    answers = await run_batches([Batch(call, range(3))], [{"n": n} for n in range(3)])
    assert answers == [None, failure, None]


async def test_call_that_fails_beside_one_that_works_is_the_failure_of_its_entries() -> None:
    async def works(entries: list[Entry]) -> Mapping[str, Any]:
        return ids(entries)

    async def fails(entries: list[Entry]) -> Mapping[str, Any]:
        raise Unavailable("SQS", "gone")

    [first, second] = await run_batches([Batch(works, [0]), Batch(fails, [1])], [{}, {}])
    assert first is None
    assert second == EntryFailure("Unavailable", "SQS is unavailable: gone", retriable=True)
    with pytest.raises(Unavailable):
        await run_batches([Batch(fails, [0]), Batch(fails, [1])], [{}, {}])


async def test_mistakes_of_ours_are_raised_even_beside_a_call_that_works() -> None:
    async def works(entries: list[Entry]) -> Mapping[str, Any]:
        return ids(entries)

    async def broken(entries: list[Entry]) -> Mapping[str, Any]:
        raise KeyError("a bug")

    with pytest.raises(KeyError):
        await run_batches([Batch(works, [0]), Batch(broken, [1])], [{}, {}])
