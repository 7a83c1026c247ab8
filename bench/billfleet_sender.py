"""billfleet as a sender: the producer library as a service uses it, async or sync.

`produce.py` starts it with the number of messages and `async` or `sync`.
"""

import os
import sys
from collections.abc import Iterator
from datetime import date

import uvloop

from billfleet_contracts import AccountPeriod, RebillAccounts
from billfleet_producers import Producer, Sendable, SyncProducer
from peers.stopwatch import measured

TENANT = "acme"
AT_ONCE = 1_000
"""Messages given to the library in one call."""


def main(count: int, kind: str) -> None:
    """Send them all."""
    if kind == "sync":
        send_sync(count)
    else:
        uvloop.run(send_async(count))


async def send_async(count: int) -> None:
    """With the async producer."""
    async with Producer(stack=os.environ["BENCH_STACK"], source="/bench") as producer:
        with measured():
            for first in range(0, count, AT_ONCE):
                report = await producer.send_batch(_work(first, min(AT_ONCE, count - first)))
                report.raise_for_failures()


def send_sync(count: int) -> None:
    """With the sync producer."""
    with SyncProducer(stack=os.environ["BENCH_STACK"], source="/bench") as producer, measured():
        for first in range(0, count, AT_ONCE):
            report = producer.send_batch(_work(first, min(AT_ONCE, count - first)))
            report.raise_for_failures()


def _work(first: int, count: int) -> Iterator[Sendable]:
    """Made one by one while sending, as the other senders make theirs."""
    return ((_event(number), TENANT) for number in range(first, first + count))


def _event(number: int) -> RebillAccounts:
    account = AccountPeriod(
        account_id=f"account-{number:07}-of-the-benchmark", period_start=date(2026, 1, 31)
    )
    return RebillAccounts(as_of=date(2026, 1, 31), accounts=(account,))


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2])
