"""The exam of the dedupe port: in memory and on DynamoDB, with a clock that stands still."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from billfleet_workers.adapters.aws_client import AwsClients
from billfleet_workers.adapters.dedupe_records import CLAIM_OUTLIVES_LEASE_S
from billfleet_workers.adapters.dynamodb import DynamoDedupeStore
from billfleet_workers.runtime.clock import ManualClock
from billfleet_workers.runtime.errors import Misconfigured, Unavailable
from billfleet_workers.runtime.ports.dedupe import (
    AlreadyDone,
    ClaimAnswer,
    Claimed,
    ClaimRequest,
    Completion,
    DedupeStore,
    Held,
    InProgress,
    PayloadMismatch,
)
from port_benches import DedupeBench

LEASE_S = 60.0
RETAIN_S = 3600.0


def ask(key: str = "k", by: str = "t1", payload_hash: str = "hash") -> ClaimRequest:
    return ClaimRequest(key, payload_hash, by, LEASE_S)


def done(key: str = "k", by: str = "t1", note: str = "billed=1") -> Completion:
    return Completion(key, by, RETAIN_S, note)


async def claim(store: DedupeStore, *requests: ClaimRequest) -> list[ClaimAnswer]:
    return list(await store.claim(requests))


async def test_new_keys_are_claimed_in_one_call(dedupe_bench: DedupeBench) -> None:
    requests = [ask(f"k{n}", f"t{n}") for n in range(60)]
    assert await claim(dedupe_bench.store, *requests) == [Claimed()] * 60


async def test_answers_stand_in_the_order_of_the_requests(dedupe_bench: DedupeBench) -> None:
    store = dedupe_bench.store
    await claim(store, ask("busy"), ask("finished"), ask("other"))
    await store.complete([done("finished")])
    answers = await claim(
        store,
        ask("new-1", "t2"),
        ask("finished", "t2"),
        ask("other", "t2", "another hash"),
        ask("new-2", "t2"),
        ask("busy", "t2"),
    )
    kinds = [type(answer) for answer in answers]
    assert kinds == [Claimed, AlreadyDone, PayloadMismatch, Claimed, InProgress]


async def test_live_lease_answers_in_progress_until_it_ends(dedupe_bench: DedupeBench) -> None:
    store, clock = dedupe_bench.store, dedupe_bench.clock
    await claim(store, ask())
    [answer] = await claim(store, ask(by="t2"))
    assert isinstance(answer, InProgress)
    assert abs(answer.lease_until - clock.now() - timedelta(seconds=LEASE_S)) < timedelta(
        milliseconds=2
    )


async def test_done_key_answers_when_and_with_which_note(dedupe_bench: DedupeBench) -> None:
    store, clock = dedupe_bench.store, dedupe_bench.clock
    await claim(store, ask())
    await clock.advance(5)
    assert await store.complete([done(note="billed=97")]) == [True]
    [answer] = await claim(store, ask(by="t2"))
    assert isinstance(answer, AlreadyDone)
    assert answer.note == "billed=97"
    assert abs(answer.completed_at - clock.now()) < timedelta(milliseconds=2)


async def test_another_payload_under_a_known_key_is_a_mismatch(dedupe_bench: DedupeBench) -> None:
    store, clock = dedupe_bench.store, dedupe_bench.clock
    await claim(store, ask())
    assert await claim(store, ask(by="t2", payload_hash="x")) == [PayloadMismatch("hash")]
    await clock.advance(LEASE_S + 1)
    assert await claim(store, ask(by="t2", payload_hash="x")) == [PayloadMismatch("hash")]
    await store.complete([done()])
    assert await claim(store, ask(by="t2", payload_hash="x")) == [PayloadMismatch("hash")]


async def test_of_100_concurrent_claims_exactly_one_is_answered_claimed(
    dedupe_bench: DedupeBench,
) -> None:
    """R46."""
    store = dedupe_bench.store
    answers = await asyncio.gather(*(claim(store, ask(by=f"t{n}")) for n in range(100)))
    assert sum(answer == [Claimed()] for answer in answers) == 1
    assert sum(isinstance(answer[0], InProgress) for answer in answers) == 99


async def test_lapsed_lease_is_taken_over_by_exactly_one_of_many(
    dedupe_bench: DedupeBench,
) -> None:
    store, clock = dedupe_bench.store, dedupe_bench.clock
    await claim(store, ask())
    await clock.advance(LEASE_S)
    answers = await asyncio.gather(*(claim(store, ask(by=f"n{n}")) for n in range(30)))
    assert sum(answer == [Claimed(taken_over=True)] for answer in answers) == 1
    assert sum(isinstance(answer[0], InProgress) for answer in answers) == 29


async def test_lease_holds_until_its_last_moment(dedupe_bench: DedupeBench) -> None:
    store, clock = dedupe_bench.store, dedupe_bench.clock
    await claim(store, ask())
    await clock.advance(LEASE_S - 0.01)
    assert isinstance((await claim(store, ask(by="t2")))[0], InProgress)
    await clock.advance(0.01)
    assert await claim(store, ask(by="t2")) == [Claimed(taken_over=True)]


async def test_who_lost_the_lease_can_neither_complete_extend_nor_release(
    dedupe_bench: DedupeBench,
) -> None:
    store, clock = dedupe_bench.store, dedupe_bench.clock
    await claim(store, ask())
    await clock.advance(LEASE_S)
    await claim(store, ask(by="t2"))
    before = await store.read(["k"])
    assert await store.complete([done(by="t1")]) == [False]
    assert await store.extend([Held("k", "t1")], LEASE_S * 5) == [False]
    assert await store.release([Held("k", "t1")]) == [False]
    assert await store.read(["k"]) == before
    assert await store.complete([done(by="t2")]) == [True]


async def test_lapsed_lease_that_nobody_took_may_still_be_completed(
    dedupe_bench: DedupeBench,
) -> None:
    store, clock = dedupe_bench.store, dedupe_bench.clock
    await claim(store, ask())
    await clock.advance(LEASE_S * 2)
    assert await store.complete([done()]) == [True]
    assert isinstance((await claim(store, ask(by="t2")))[0], AlreadyDone)


async def test_extended_lease_lasts_longer_by_so_much(dedupe_bench: DedupeBench) -> None:
    store, clock = dedupe_bench.store, dedupe_bench.clock
    await claim(store, ask())
    await clock.advance(LEASE_S - 1)
    assert await store.extend([Held("k", "t1")], LEASE_S) == [True]
    await clock.advance(LEASE_S - 1)
    assert isinstance((await claim(store, ask(by="t2")))[0], InProgress)
    await clock.advance(1)
    assert await claim(store, ask(by="t2")) == [Claimed(taken_over=True)]


async def test_released_key_is_claimed_anew_even_with_another_payload(
    dedupe_bench: DedupeBench,
) -> None:
    store = dedupe_bench.store
    await claim(store, ask())
    assert await store.release([Held("k", "t1")]) == [True]
    assert await store.read(["k"]) == [None]
    assert await claim(store, ask(by="t2", payload_hash="x")) == [Claimed()]


def attempts(answers: Sequence[ClaimAnswer]) -> list[int]:
    return [answer.attempts for answer in answers if isinstance(answer, Claimed)]


async def test_failed_attempts_are_remembered_by_the_next_claim_of_the_same_payload(
    dedupe_bench: DedupeBench,
) -> None:
    store = dedupe_bench.store
    assert attempts(await claim(store, ask())) == [1]
    for attempt in (1, 2):
        by, after = f"t{attempt}", f"t{attempt + 1}"
        assert await store.release([Held("k", by, failed_attempts=attempt)]) == [True]
        assert await store.read(["k"]) == [None]
        assert await store.release([Held("k", by, failed_attempts=attempt)]) == [False]
        assert await store.extend([Held("k", by)], LEASE_S) == [False]
        assert await store.complete([done(by=by)]) == [False]
        assert attempts(await claim(store, ask(by=after))) == [attempt + 1]
    assert await store.complete([done(by="t3")]) == [True]
    assert isinstance((await claim(store, ask(by="t4")))[0], AlreadyDone)


async def test_attempts_that_were_never_heard_of_again_count_and_another_payload_begins_anew(
    dedupe_bench: DedupeBench,
) -> None:
    store, clock = dedupe_bench.store, dedupe_bench.clock
    await claim(store, ask())
    await clock.advance(LEASE_S)
    assert attempts(await claim(store, ask(by="t2"))) == [2]
    assert await store.release([Held("k", "t2", failed_attempts=2)]) == [True]
    assert attempts(await claim(store, ask(by="t3", payload_hash="x"))) == [1]
    assert await store.release([Held("k", "t3")]) == [True]
    assert attempts(await claim(store, ask(by="t4"))) == [1]


async def test_unknown_key_is_nobody_s_to_settle(dedupe_bench: DedupeBench) -> None:
    store = dedupe_bench.store
    assert await store.complete([done()]) == [False]
    assert await store.extend([Held("k", "t1")], LEASE_S) == [False]
    assert await store.release([Held("k", "t1")]) == [False]
    assert await store.read(["k"]) == [None]


async def test_done_work_is_neither_released_nor_extended(dedupe_bench: DedupeBench) -> None:
    store = dedupe_bench.store
    await claim(store, ask())
    await store.complete([done()])
    assert await store.release([Held("k", "t1")]) == [False]
    assert await store.extend([Held("k", "t1")], LEASE_S) == [False]
    assert isinstance((await claim(store, ask(by="t2")))[0], AlreadyDone)


async def test_completing_twice_with_the_same_token_is_harmless(dedupe_bench: DedupeBench) -> None:
    store = dedupe_bench.store
    await claim(store, ask())
    assert await store.complete([done()]) == [True]
    assert await store.complete([done()]) == [True]


async def test_claim_repeated_with_its_token_is_answered_claimed(
    dedupe_bench: DedupeBench,
) -> None:
    """The first answer was lost on the way: the second claim finds its own token."""
    store = dedupe_bench.store
    await claim(store, ask())
    assert await claim(store, ask()) == [Claimed()]


async def test_done_record_that_expired_is_claimable_though_it_is_still_there(
    dedupe_bench: DedupeBench,
) -> None:
    """R45: expiry is compared with the clock, deletion is not waited for."""
    store, clock = dedupe_bench.store, dedupe_bench.clock
    await claim(store, ask())
    await store.complete([done()])
    await clock.advance(RETAIN_S - 2)
    assert isinstance((await claim(store, ask(by="t2")))[0], AlreadyDone)
    await clock.advance(2)
    assert await store.read(["k"]) == [None]
    assert await claim(store, ask(by="t2", payload_hash="x")) == [Claimed(taken_over=True)]
    assert await store.complete([done(by="t1")]) == [False]


async def test_record_of_a_claim_outlives_its_lease_by_far(dedupe_bench: DedupeBench) -> None:
    """R45: a deletion by age, however prompt, never frees a lease that is alive."""
    store, clock = dedupe_bench.store, dedupe_bench.clock
    await claim(store, ask())
    for _ in range(2):
        [record] = await store.read(["k"])
        assert record is not None
        assert record.lease_until is not None
        assert record.expires_at - record.lease_until > timedelta(hours=1)
        await clock.advance(LEASE_S)
        await store.extend([Held("k", "t1")], LEASE_S * 1000)


async def test_record_says_who_holds_a_key_and_what_became_of_it(
    dedupe_bench: DedupeBench,
) -> None:
    store, clock = dedupe_bench.store, dedupe_bench.clock
    await claim(store, ask())
    [claimed, unknown] = await store.read(["k", "unknown"])
    assert unknown is None
    assert claimed is not None
    assert (claimed.key, claimed.state, claimed.payload_hash, claimed.token) == (
        "k",
        "claimed",
        "hash",
        "t1",
    )
    assert claimed.completed_at is None
    await store.complete([done(note="billed=97")])
    [finished] = await store.read(["k"])
    assert finished is not None
    assert (finished.state, finished.note, finished.lease_until) == ("done", "billed=97", None)
    assert finished.completed_at is not None
    expected = clock.now() + timedelta(seconds=RETAIN_S)
    assert abs(finished.expires_at - expected) <= timedelta(seconds=1)


async def test_notes_may_hold_anything(dedupe_bench: DedupeBench) -> None:
    store = dedupe_bench.store
    await claim(store, ask())
    assert await store.complete([done(note="\ud800 \x00 'quoted' \"?\" " + "é" * 9_000)]) == [True]
    [answer] = await claim(store, ask(by="t2"))
    assert isinstance(answer, AlreadyDone)
    assert len(answer.note) == 1_000


async def test_keys_may_hold_quotes_and_question_marks(dedupe_bench: DedupeBench) -> None:
    store = dedupe_bench.store
    keys = ["a'b", 'a"b', "a?b", "ä/ü", "x" * 300]
    assert await claim(store, *(ask(key) for key in keys)) == [Claimed()] * 5
    assert await store.release([Held(key, "t1") for key in keys]) == [True] * 5


async def test_sixty_keys_are_completed_extended_and_released_in_order(
    dedupe_bench: DedupeBench,
) -> None:
    store = dedupe_bench.store
    await claim(store, *(ask(f"k{n}") for n in range(60)))
    held = [Held(f"k{n}", "t1" if n % 7 else "someone else") for n in range(60)]
    expected = [bool(n % 7) for n in range(60)]
    assert await store.extend(held, LEASE_S) == expected
    completions = [done(one.key, one.token) for one in held[:30]]
    assert await store.complete(completions) == expected[:30]
    assert await store.release(held[30:]) == expected[30:]


async def test_sixty_lapsed_keys_are_taken_over_in_one_call(dedupe_bench: DedupeBench) -> None:
    store, clock = dedupe_bench.store, dedupe_bench.clock
    requests = [ask(f"k{n}") for n in range(60)]
    await claim(store, *requests)
    await clock.advance(LEASE_S)
    again = [ask(f"k{n}", "t2") for n in range(60)]
    assert await claim(store, *again) == [Claimed(taken_over=True)] * 60


async def test_same_key_twice_in_one_call_is_refused(dedupe_bench: DedupeBench) -> None:
    store = dedupe_bench.store
    with pytest.raises(ValueError, match="twice in one call: k"):
        await store.claim([ask(), ask("other"), ask()])
    with pytest.raises(ValueError, match="twice"):
        await store.complete([done(), done()])
    with pytest.raises(ValueError, match="twice"):
        await store.release([Held("k", "t1")] * 2)
    with pytest.raises(ValueError, match="twice"):
        await store.extend([Held("k", "t1")] * 2, LEASE_S)
    assert await store.read(["k"]) == [None]


async def test_empty_calls_are_answered_empty(dedupe_bench: DedupeBench) -> None:
    store = dedupe_bench.store
    assert list(await store.claim([])) == []
    assert list(await store.complete([])) == []
    assert list(await store.release([])) == []
    assert list(await store.extend([], LEASE_S)) == []
    assert list(await store.read([])) == []


async def test_store_that_is_away_is_unavailable_and_says_so_quickly(
    away_store: DedupeStore,
) -> None:
    async with asyncio.timeout(10):
        with pytest.raises(Unavailable):
            await away_store.claim([ask()])
        with pytest.raises(Unavailable):
            await away_store.read(["k"])


async def test_closing_twice_is_safe(dedupe_bench: DedupeBench) -> None:
    await dedupe_bench.store.close()
    await dedupe_bench.store.close()


SAME_EXPIRY = Completion("k", "t1", CLAIM_OUTLIVES_LEASE_S, "its record expires as its claim would")


class OvertakenClient:
    """The DynamoDB client of a worker whom the former owner overtakes after the first read."""

    def __init__(self, client: Any, overtake: Callable[[], Awaitable[object]]) -> None:
        self._client = client
        self._overtake: Callable[[], Awaitable[object]] | None = overtake

    async def batch_get_item(self, **request: Any) -> Any:
        answer = await self._client.batch_get_item(**request)
        if self._overtake is not None:
            overtake, self._overtake = self._overtake, None
            await overtake()
        return answer

    async def batch_execute_statement(self, **request: Any) -> Any:
        return await self._client.batch_execute_statement(**request)


@pytest.mark.parametrize(
    ("overtake", "expected"),
    [
        (lambda owner: owner.complete([done()]), AlreadyDone),
        (lambda owner: owner.complete([SAME_EXPIRY]), AlreadyDone),
        (lambda owner: owner.extend([Held("k", "t1")], LEASE_S), InProgress),
        (lambda owner: owner.extend([Held("k", "t1")], 0.3), InProgress),
        (lambda owner: owner.release([Held("k", "t1")]), Claimed),
    ],
    ids=["completes", "completes-same-expiry", "extends", "extends-same-expiry", "releases"],
)
async def test_takeover_never_writes_over_what_the_former_owner_did_meanwhile(
    aws_clients: AwsClients,
    dedupe_stack: str,
    overtake: Callable[[DedupeStore], Awaitable[object]],
    expected: type[ClaimAnswer],
) -> None:
    """Its token still stands when it completes or extends, so the condition asks for more."""
    clock = ManualClock(datetime.now(UTC).replace(microsecond=0))
    client = await aws_clients.open_dynamodb()
    owner = DynamoDedupeStore(client, stack=dedupe_stack, clock=clock)
    await owner.claim([ask()])
    await clock.advance(LEASE_S)
    slow: Any = OvertakenClient(client, lambda: overtake(owner))
    taker = DynamoDedupeStore(slow, stack=dedupe_stack, clock=clock)
    [answer] = await taker.claim([ask(by="t2")])
    assert type(answer) is expected
    await client.close()


async def test_expired_done_record_is_not_taken_from_who_completes_it_again(
    aws_clients: AwsClients, dedupe_stack: str
) -> None:
    """R45. State, token and lease are as they were: only the expiry tells the two apart."""
    clock = ManualClock(datetime.now(UTC))
    client = await aws_clients.open_dynamodb()
    owner = DynamoDedupeStore(client, stack=dedupe_stack, clock=clock)
    await owner.claim([ask()])
    await owner.complete([done()])
    await clock.advance(RETAIN_S)
    slow: Any = OvertakenClient(client, lambda: owner.complete([done()]))
    taker = DynamoDedupeStore(slow, stack=dedupe_stack, clock=clock)
    [answer] = await taker.claim([ask(by="t2")])
    assert isinstance(answer, AlreadyDone)
    await client.close()


async def test_missing_table_is_misconfigured_and_named(aws_clients: AwsClients) -> None:
    store = await DynamoDedupeStore.open(
        aws_clients, stack="no-such-stack", clock=ManualClock(datetime.now(UTC))
    )
    with pytest.raises(Misconfigured, match=r"no-such-stack-dedupe.*BILLFLEET_STACK"):
        await store.check()
    with pytest.raises(Misconfigured, match="no-such-stack-dedupe"):
        await store.claim([ask()])
    await store.close()
