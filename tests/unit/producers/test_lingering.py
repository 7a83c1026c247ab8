"""Messages that are sent one by one share batch calls, and each sender hears its own end."""

import asyncio
import os
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, date, datetime

import pytest

from billfleet_contracts import AccountPeriod, RebillAccounts, RedeemReward
from billfleet_producers import (
    LingeringProducer,
    LingeringSyncProducer,
    ProducerNotOpen,
    Receipt,
    RecordingProducer,
    RecordingSyncProducer,
    SendFailed,
)


def rebill(account: str) -> RebillAccounts:
    period = AccountPeriod(account_id=account, period_start=date(2026, 3, 1))
    return RebillAccounts(as_of=date(2026, 3, 1), accounts=(period,))


def redeem(number: int) -> RedeemReward:
    return RedeemReward(
        card_id="card",
        transaction_id=f"r-{number}",
        occurred_at=datetime(2026, 3, 1, tzinfo=UTC),
        reward_id="mug",
    )


class Lingers:
    """Sleeps until told."""

    def __init__(self) -> None:
        self.over = asyncio.Event()

    async def __call__(self, _: float) -> None:
        await self.over.wait()


async def test_what_gathers_within_the_linger_shares_batch_calls() -> None:
    lingers = Lingers()
    async with (
        RecordingProducer() as producer,
        LingeringProducer(producer, sleep=lingers) as lingering,
    ):
        sends = [
            asyncio.create_task(lingering.send(rebill(f"a-{n}"), tenant="acme")) for n in range(25)
        ]
        await asyncio.sleep(0)
        assert producer.sent == []
        lingers.over.set()
        receipts = await asyncio.gather(*sends)
    assert [len(batch.messages) for batch in producer.recorder.batches] == [10, 10, 5]
    assert len({receipt.event_id for receipt in receipts}) == 25


async def test_a_full_round_does_not_linger() -> None:
    async with (
        RecordingProducer() as producer,
        LingeringProducer(producer, sleep=Lingers(), round_max=10) as lingering,
    ):
        await asyncio.gather(*(lingering.send(rebill(f"a-{n}"), tenant="acme") for n in range(20)))
    assert [len(batch.messages) for batch in producer.recorder.batches] == [10, 10]


async def test_closing_sends_what_waits() -> None:
    async with RecordingProducer() as producer:
        async with LingeringProducer(producer, sleep=Lingers()) as lingering:
            waiting = asyncio.create_task(lingering.send(rebill("a"), tenant="acme"))
            await asyncio.sleep(0)
        assert (await waiting).event_id == producer.sent[0].event_id


async def test_each_sender_hears_its_own_failure() -> None:
    async with RecordingProducer() as producer:
        producer.fail(lambda message: "a-1" in message.body)
        async with LingeringProducer(producer, linger_s=0) as lingering:
            ends = await asyncio.gather(
                *(lingering.send(rebill(f"a-{n}"), tenant="acme") for n in range(3)),
                return_exceptions=True,
            )
    assert [isinstance(end, SendFailed) for end in ends] == [False, True, False]


async def test_a_cancelled_sender_does_not_take_its_message_back() -> None:
    async with (
        RecordingProducer() as producer,
        LingeringProducer(producer, sleep=Lingers()) as lingering,
    ):
        sending = asyncio.create_task(lingering.send(rebill("a"), tenant="acme"))
        await asyncio.sleep(0)
        sending.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sending
    assert len(producer.sent) == 1


async def test_senders_wait_for_room() -> None:
    lingers = Lingers()
    async with (
        RecordingProducer() as producer,
        LingeringProducer(producer, sleep=lingers, waiting_max=2) as lingering,
    ):
        sends = [
            asyncio.create_task(lingering.send(rebill(f"a-{n}"), tenant="acme")) for n in range(5)
        ]
        await asyncio.sleep(0)
        assert not any(send.done() for send in sends)
        lingers.over.set()
        assert len(await asyncio.gather(*sends)) == 5
    assert max(len(batch.messages) for batch in producer.recorder.batches) == 2


async def test_a_producer_that_is_not_open_is_reported_to_who_waits() -> None:
    async with LingeringProducer(RecordingProducer(), linger_s=0) as lingering:
        with pytest.raises(ProducerNotOpen):
            await lingering.send(rebill("a"), tenant="acme")


async def test_a_fifo_group_leaves_in_the_order_in_which_it_was_sent() -> None:
    async with (
        RecordingProducer() as producer,
        LingeringProducer(producer, linger_s=0, round_max=3) as lingering,
    ):
        await asyncio.gather(
            *(lingering.send(redeem(n), tenant="acme") for n in range(10)),
        )
    sent = [event.transaction_id for event in producer.events(RedeemReward)]
    assert sent == [f"r-{n}" for n in range(10)]


def test_threads_share_batch_calls_and_closing_sends_what_waits() -> None:
    with RecordingSyncProducer() as producer:
        with (
            LingeringSyncProducer(producer, linger_s=30, round_max=50) as lingering,
            ThreadPoolExecutor(8) as pool,
        ):
            ends = list(
                pool.map(lambda n: lingering.post(rebill(f"a-{n}"), tenant="acme"), range(120))
            )
        receipts = [end.result(timeout=0) for end in ends]
    assert len({receipt.event_id for receipt in receipts}) == 120
    assert len(producer.recorder.batches) <= 14


def test_a_thread_hears_its_failure_and_a_closed_one_says_so() -> None:
    with RecordingSyncProducer() as producer:
        producer.fail()
        lingering = LingeringSyncProducer(producer, linger_s=0)
        with lingering, pytest.raises(SendFailed):
            lingering.send(rebill("a"), tenant="acme")
        with pytest.raises(ProducerNotOpen):
            lingering.post(rebill("a"), tenant="acme")


def test_what_was_given_up_before_it_left_is_not_sent() -> None:
    with (
        RecordingSyncProducer() as producer,
        LingeringSyncProducer(producer, linger_s=30, round_max=2) as lingering,
    ):
        assert lingering.post(rebill("a"), tenant="acme").cancel()
        kept = lingering.post(rebill("b"), tenant="acme")
        assert kept.result(timeout=5).event_id == producer.sent[0].event_id
    assert len(producer.sent) == 1


def test_what_was_given_up_holds_up_nobody_when_sending_fails() -> None:
    with LingeringSyncProducer(RecordingSyncProducer(), linger_s=30, round_max=2) as lingering:
        assert lingering.post(rebill("a"), tenant="acme").cancel()
        with pytest.raises(ProducerNotOpen):
            lingering.post(rebill("b"), tenant="acme").result(timeout=5)
        last = [lingering.post(rebill(account), tenant="acme") for account in "cd"]
        with pytest.raises(ProducerNotOpen):
            last[1].result(timeout=5)


def test_what_is_on_its_way_can_not_be_given_up_any_more() -> None:
    posted: list[Future[Receipt]] = []
    given_up: list[bool] = []

    def give_up(_: object) -> bool:
        given_up.append(posted[0].cancel())
        return False

    with RecordingSyncProducer() as producer:
        producer.fail(give_up)
        with LingeringSyncProducer(producer, linger_s=30) as lingering:
            posted.append(lingering.post(rebill("a"), tenant="acme"))
    assert given_up == [False]
    assert posted[0].result(timeout=0).event_id == producer.sent[0].event_id


def test_a_forked_process_is_told_to_open_one_of_its_own_instead_of_waiting_for_ever() -> None:
    with (
        RecordingSyncProducer() as producer,
        LingeringSyncProducer(producer, linger_s=0) as lingering,
    ):
        if (child := os.fork()) == 0:
            try:
                lingering.post(rebill("a"), tenant="acme")
            except ProducerNotOpen:
                os._exit(0)
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
