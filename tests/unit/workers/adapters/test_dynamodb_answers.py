"""The DynamoDB store against a client whose every answer is scripted."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, cast

import botocore.exceptions as foreign
import pytest

from billfleet_workers.adapters.dedupe_records import Entry, to_ms
from billfleet_workers.adapters.dynamodb import DynamoDedupeStore
from billfleet_workers.runtime.errors import Misconfigured, Unavailable
from billfleet_workers.runtime.ports.dedupe import (
    AlreadyDone,
    Claimed,
    ClaimRequest,
    Completion,
    Held,
    InProgress,
)

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
OK: Mapping[str, Any] = {"TableName": "s-dedupe"}
TABLE = "s-dedupe"


def error(code: str) -> Mapping[str, Any]:
    return {"Error": {"Code": code, "Message": "why"}}


class ImpatientClock:
    """Stands still; whoever sleeps is woken at once, and how long is written down."""

    def __init__(self) -> None:
        self.slept_s: list[float] = []

    def now(self) -> datetime:
        return NOW

    def monotonic(self) -> float:
        return 0.0

    async def sleep(self, seconds: float) -> None:
        self.slept_s.append(seconds)


class ScriptedClient:
    """Answers from two scripts, and keeps what it was asked."""

    def __init__(
        self,
        writes: Sequence[Sequence[Mapping[str, Any]] | Exception] = (),
        reads: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        self._writes, self._reads = list(writes), list(reads)
        self.batches: list[list[str]] = []
        self.asked_keys: list[list[str]] = []

    async def batch_execute_statement(self, *, Statements: Any) -> Mapping[str, Any]:  # noqa: N803
        self.batches.append([one["Statement"].split()[0] for one in Statements])
        answer = self._writes.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return {"Responses": answer}

    async def batch_get_item(self, *, RequestItems: Any) -> Mapping[str, Any]:  # noqa: N803
        request = RequestItems[TABLE]
        assert request["ConsistentRead"] is True
        self.asked_keys.append([key["pk"]["S"] for key in request["Keys"]])
        return self._reads.pop(0)


def store_of(client: ScriptedClient, clock: ImpatientClock | None = None) -> DynamoDedupeStore:
    return DynamoDedupeStore(cast("Any", client), stack="s", clock=clock or ImpatientClock())


def ask(key: str = "k", by: str = "mine") -> ClaimRequest:
    return ClaimRequest(key, "hash", by, 60)


def item(key: str, entry: Entry) -> dict[str, Any]:
    return {
        "pk": {"S": key},
        "state": {"S": entry.state},
        "payload_hash": {"S": entry.payload_hash},
        "token": {"S": entry.token},
        "lease_until": {"N": str(entry.lease_until_ms)},
        "completed_at": {"N": str(entry.completed_ms)},
        "expires_at": {"N": str(entry.expires_s)},
        "note": {"S": entry.note},
    }


def claimed(by: str, lease_s: float) -> Entry:
    expires_s = to_ms(NOW) // 1000 + 86_400
    return Entry("claimed", "hash", by, to_ms(NOW) + round(lease_s * 1000), 0, expires_s)


def done(by: str) -> Entry:
    expires_s = to_ms(NOW) // 1000 + 86_400
    return Entry("done", "hash", by, to_ms(NOW), to_ms(NOW), expires_s, "billed=1")


def found(*items: dict[str, Any], unread: Sequence[str] = ()) -> Mapping[str, Any]:
    left = {TABLE: {"Keys": [{"pk": {"S": key}} for key in unread]}} if unread else {}
    return {"Responses": {TABLE: list(items)}, "UnprocessedKeys": left}


async def test_claim_whose_answer_was_lost_is_recognised_by_its_token() -> None:
    """The library repeats the call: the insert meets the record that it wrote itself."""
    client = ScriptedClient([[error("DuplicateItem")]], [found(item("k", claimed("mine", 60)))])
    assert await store_of(client).claim([ask()]) == [Claimed()]


async def test_takeover_whose_answer_was_lost_is_recognised_too() -> None:
    client = ScriptedClient(
        [[error("DuplicateItem")], [error("ConditionalCheckFailed")]],
        [found(item("k", claimed("theirs", -1))), found(item("k", claimed("mine", 60)))],
    )
    assert await store_of(client).claim([ask()]) == [Claimed(taken_over=True)]
    assert client.batches == [["INSERT"], ["UPDATE"]]


async def test_takeover_that_loses_to_a_late_completion_is_already_done() -> None:
    client = ScriptedClient(
        [[error("DuplicateItem")], [error("ConditionalCheckFailed")]],
        [found(item("k", claimed("theirs", -1))), found(item("k", done("theirs")))],
    )
    assert await store_of(client).claim([ask()]) == [AlreadyDone(NOW, "billed=1")]


async def test_record_that_vanished_before_it_was_read_is_claimed_by_inserting() -> None:
    client = ScriptedClient([[error("DuplicateItem")], [OK]], [found()])
    assert await store_of(client).claim([ask()]) == [Claimed()]
    assert client.batches == [["INSERT"], ["INSERT"]]


async def test_key_that_others_keep_winning_is_left_to_them() -> None:
    lost = [[error("ConditionalCheckFailed")]] * 5
    client = ScriptedClient(
        [[error("DuplicateItem")], *lost], [found(item("k", claimed("theirs", -1)))] * 5
    )
    assert await store_of(client).claim([ask()]) == [InProgress(NOW + timedelta(seconds=1))]


async def test_throttled_statement_is_asked_again_and_alone() -> None:
    clock = ImpatientClock()
    client = ScriptedClient([[OK, error("ThrottlingError"), OK], [OK]])
    answers = await store_of(client, clock).claim([ask("a"), ask("b"), ask("c")])
    assert answers == [Claimed()] * 3
    assert client.batches == [["INSERT"] * 3, ["INSERT"]]
    assert clock.slept_s == [0.05]


async def test_statement_that_stays_throttled_is_unavailable() -> None:
    throttled = [error("ProvisionedThroughputExceeded")]
    client = ScriptedClient([[OK, *throttled], throttled, throttled, throttled])
    with pytest.raises(Unavailable, match="ProvisionedThroughputExceeded") as caught:
        await store_of(client).complete([Completion(key, "t", 60, "") for key in ("a", "b")])
    assert not isinstance(caught.value, Misconfigured)


@pytest.mark.parametrize("code", ["AccessDenied", "ResourceNotFound"])
async def test_statement_that_may_not_run_is_misconfigured(code: str) -> None:
    with pytest.raises(Misconfigured, match="s-dedupe"):
        await store_of(ScriptedClient([[error(code)]])).claim([ask()])


async def test_statement_with_an_unforeseen_answer_is_never_taken_for_a_success() -> None:
    with pytest.raises(Unavailable, match="ValidationError"):
        await store_of(ScriptedClient([[error("ValidationError")]])).claim([ask()])


async def test_answer_that_leaves_statements_out_is_never_taken_for_a_success() -> None:
    with pytest.raises(Unavailable, match="1 answers to 2"):
        await store_of(ScriptedClient([[OK]])).claim([ask("a"), ask("b")])


async def test_keys_that_were_not_read_are_read_again() -> None:
    reads = [found(item("a", done("t")), unread=["b"]), found(item("b", done("t")))]
    client = ScriptedClient(reads=reads)
    records = await store_of(client).read(["a", "b"])
    assert [record.state for record in records if record] == ["done", "done"]
    assert client.asked_keys == [["a", "b"], ["b"]]


async def test_keys_that_stay_unread_are_unavailable() -> None:
    client = ScriptedClient(reads=[found(unread=["a"])] * 4)
    with pytest.raises(Unavailable, match="1 keys stayed unread"):
        await store_of(client).read(["a"])


async def test_release_of_an_item_that_is_gone_is_not_ours() -> None:
    """Deleting what is not there succeeds at DynamoDB; only a returned item was ours."""
    gone, ours = OK, {**OK, "Item": item("b", claimed("t", 60))}
    client = ScriptedClient([[gone, ours, error("ConditionalCheckFailed")]])
    held = [Held(key, "t") for key in ("a", "b", "c")]
    assert await store_of(client).release(held) == [False, True, False]


async def test_batch_costs_one_call_for_each_25_new_keys() -> None:
    client = ScriptedClient([[OK] * 25, [OK] * 25, [OK] * 10])
    await store_of(client).claim([ask(f"k{n}") for n in range(60)])
    assert [len(batch) for batch in client.batches] == [25, 25, 10]
    assert client.asked_keys == []


async def test_throttled_call_as_a_whole_is_unavailable() -> None:
    refusal = foreign.ClientError(
        {"Error": {"Code": "ThrottlingException", "Message": "slow down"}}, "BatchExecuteStatement"
    )
    with pytest.raises(Unavailable, match="slow down"):
        await store_of(ScriptedClient([refusal])).claim([ask()])
