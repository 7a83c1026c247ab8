"""billfleet as a contestant: a worker as the fleet runs it, with a handler that does no work.

`consume.py` starts it. Queue, dedupe store, metrics and logs are the real adapters; only the
handler is empty. `BILLFLEET_AWS_CLIENT` chooses the client. It ends on SIGTERM, after its drain.
"""

import asyncio
import os
import random
import signal
import sys

import uvloop

from billfleet_contracts import QUEUES, RebillAccounts
from billfleet_workers.adapters.aws_client import AwsClients
from billfleet_workers.adapters.aws_lean import LeanAwsClients
from billfleet_workers.adapters.dynamodb import DynamoDedupeStore
from billfleet_workers.adapters.sqs import SqsQueue
from billfleet_workers.adapters.statsd import StatsdMetrics
from billfleet_workers.runtime.clock import SystemClock
from billfleet_workers.runtime.concurrency import Concurrency
from billfleet_workers.runtime.consumer import Consumer
from billfleet_workers.runtime.desk import Desk
from billfleet_workers.runtime.garbage import collect_less_often
from billfleet_workers.runtime.gate import Gate
from billfleet_workers.runtime.handling import Finished, Work
from billfleet_workers.runtime.heartbeat import Heartbeat
from billfleet_workers.runtime.log import configure
from billfleet_workers.runtime.policy import DeliveryPolicy
from billfleet_workers.runtime.tally import Tally
from billfleet_workers.settings import Settings
from peers.effects import Effects

DRAIN_DEADLINE_S = 25.0


class NoWork:
    """A handler that only says that it was here."""

    def __init__(self, effects: Effects, sleep_s: float) -> None:
        self._effects = effects
        self._sleep_s = sleep_s

    async def handle(self, work: Work) -> Finished:
        """Do nothing, for as long as it is told to."""
        assert isinstance(work.envelope.data, RebillAccounts)
        account = work.envelope.data.accounts[0].account_id
        number = self._effects.begin(account)
        if self._sleep_s:
            await asyncio.sleep(self._sleep_s)
        self._effects.end(number)
        return Finished({"accounts": len(work.envelope.data.accounts)})


async def work() -> None:
    """Receive until SIGTERM."""
    if os.environ.get("BENCH_IMPORTS"):
        # What a worker of the fleet has in memory besides: its own handler and the database.
        import billfleet_workers.handlers.rebill
        import billfleet_workers.main.fleet  # noqa: F401
    configure("json", "info", sys.stderr, for_good=True)
    clock = SystemClock()
    clients = _clients(clock)
    stack = os.environ["BENCH_STACK"]
    queue = await SqsQueue.open(clients, stack=stack, name="rebill")
    dedupe = await DynamoDedupeStore.open(clients, stack=stack, clock=clock)
    metrics = StatsdMetrics("127.0.0.1", int(os.environ["BENCH_STATSD_PORT"]))
    policy = DeliveryPolicy.of(
        QUEUES["rebill"], retain_s=86_400, lease_s=int(os.environ.get("BENCH_LEASE_S", "60"))
    )
    handler = NoWork(Effects(), float(os.environ.get("BENCH_HANDLER_S", "0")))
    desk = Desk(
        queue=queue,
        dedupe=dedupe,
        handlers={RebillAccounts.TYPE: handler},
        policy=policy,
        clock=clock,
        metrics=metrics,
        gate=Gate({}, clock),
        heartbeat=Heartbeat(queue, dedupe, policy, clock, metrics),
        tally=Tally(),
        draining=asyncio.Event(),
        concurrency=Concurrency(floor=10, ceiling=_default("in_flight_max", "BENCH_IN_FLIGHT")),
    )
    consumer = Consumer(desk, receivers=_default("receivers", "BENCH_RECEIVERS"), poll_wait_s=20)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    collect_less_often()
    consumer.start()
    await stop.wait()
    adds_up = await consumer.drain(DRAIN_DEADLINE_S)
    metrics.close()
    await queue.close()
    await dedupe.close()
    sys.exit(0 if adds_up else 1)


def _default(setting: str, variable: str) -> int:
    """What the fleet uses where nobody sets anything."""
    return int(os.environ.get(variable) or Settings.model_fields[setting].default)


def _clients(clock: SystemClock) -> AwsClients:
    region = os.environ["AWS_REGION"]
    if os.environ.get("BILLFLEET_AWS_CLIENT", "lean") == "sdk":
        return AwsClients(region=region)
    return LeanAwsClients(region=region, clock=clock, jitter=random.random)


if __name__ == "__main__":
    uvloop.run(work())
