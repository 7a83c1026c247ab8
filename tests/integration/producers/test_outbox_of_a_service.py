"""A service's own outbox: what committed leaves, in order, once in effect, whoever dies."""

import asyncio
import json
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, MetaData, create_engine, event, select
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from billfleet_contracts import AccountPeriod, ContractError, RebillAccounts, RedeemReward, decode
from billfleet_outbox import AsyncRelay, Outbox, OutboxTables, Relay
from billfleet_outbox.command import main
from billfleet_producers import (
    EndpointUnreachable,
    Outgoing,
    RecordingProducer,
    RecordingSyncProducer,
    RetryPolicy,
    SendFailed,
)

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def rebill(account: str) -> RebillAccounts:
    period = AccountPeriod(account_id=account, period_start=date(2026, 3, 1))
    return RebillAccounts(as_of=date(2026, 3, 1), accounts=(period,))


def redeem(number: int, card: str = "card") -> RedeemReward:
    return RedeemReward(
        card_id=card, transaction_id=f"{card}-{number}", occurred_at=NOW, reward_id="mug"
    )


@dataclass
class Service:
    """A service with a database, an outbox and a clock that its test moves."""

    engine: Engine
    tables: OutboxTables
    now: datetime = NOW
    producer: RecordingSyncProducer = field(
        default_factory=lambda: RecordingSyncProducer(source="/shop")
    )

    def __post_init__(self) -> None:
        self.outbox = Outbox(self.tables, source="/shop", clock=self.clock)

    def clock(self) -> datetime:
        return self.now

    def relay(self, round_max: int = 200) -> Relay:
        return Relay(self.engine, self.tables, self.producer, round_max=round_max, clock=self.clock)

    def enqueue(self, *events: RebillAccounts | RedeemReward) -> list[str]:
        with Session(self.engine) as session, session.begin():
            return [self.outbox.enqueue(session, one, tenant="acme") for one in events]

    @property
    def sent(self) -> list[str]:
        return [message.event_id for message in self.producer.sent]


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    engine = create_engine(f"sqlite:///{tmp_path}/shop.db")
    metadata = MetaData()
    tables = OutboxTables.add_to(metadata)
    metadata.create_all(engine)
    service = Service(engine, tables)
    with service.producer:
        yield service
    engine.dispose()


def test_what_commits_leaves_in_order_and_only_once(service: Service) -> None:
    ids = service.enqueue(*(rebill(f"a-{number}") for number in range(25)))
    assert service.relay().send_once().sent == 25
    assert service.sent == ids
    assert service.relay().send_once().taken == 0
    assert service.producer.envelopes[0].source == "/shop"
    assert service.producer.sent[0].group_id == "acme"


def test_what_rolls_back_never_leaves(service: Service) -> None:
    with Session(service.engine) as session:
        service.outbox.enqueue(session, rebill("a"), tenant="acme")
        session.rollback()
    assert service.relay().send_once().taken == 0


def test_an_event_that_breaks_its_contract_is_refused_in_the_transaction(service: Service) -> None:
    with (
        pytest.raises(ContractError),
        Session(service.engine) as session,
        session.begin(),
    ):
        service.outbox.enqueue(session, rebill("a"), tenant="No Such Tenant")
    assert service.relay().backlog().waiting == 0


def test_a_crash_after_sending_sends_again_under_the_same_id_and_key(service: Service) -> None:
    (event_id,) = service.enqueue(rebill("a"))

    class LightsOut(BaseException):
        pass

    def die(*_: object) -> None:
        raise LightsOut

    event.listen(service.engine, "commit", die)
    with pytest.raises(LightsOut):
        service.relay().send_once()
    event.remove(service.engine, "commit", die)
    assert service.relay().send_once().sent == 1
    assert service.sent == [event_id, event_id]
    first, second = service.producer.envelopes
    assert first == second


def test_a_refused_row_is_put_aside_with_its_reason_and_others_pass_it(service: Service) -> None:
    service.producer.fail(lambda message: "a-1" in message.body, times=1)
    ids = service.enqueue(*(rebill(f"a-{number}") for number in range(3)))
    done = service.relay().send_once()
    assert (done.sent, [failure.what.event_id for failure in done.refused]) == (2, [ids[1]])
    assert service.relay().send_once().taken == 0
    backlog = service.relay().backlog()
    assert (backlog.waiting, backlog.refused) == (1, 1)
    service.now += timedelta(seconds=2)
    assert service.relay().send_once().sent == 1
    with service.engine.connect() as connection:
        rows = service.tables.rows
        assert (
            "told to fail"
            in connection.execute(
                select(rows.c.refused).where(rows.c.event_id == ids[1])
            ).scalar_one()
        )


def test_nothing_passes_a_refused_row_of_its_fifo_group(service: Service) -> None:
    service.producer.fail(lambda message: '"card-0"' in message.body, times=1)
    service.enqueue(redeem(0), redeem(1), redeem(0, card="other"))
    service.relay().send_once()
    assert [sent.group_id for sent in service.producer.sent] == ["acme:other"]
    service.enqueue(redeem(2))
    assert service.relay().send_once().taken == 0
    service.now += timedelta(seconds=2)
    service.relay().send_once()
    sent = [decode(message.body).data for message in service.producer.sent]
    assert [one.transaction_id for one in sent if isinstance(one, RedeemReward)] == [
        "other-0",
        "card-0",
        "card-1",
        "card-2",
    ]


def test_an_outage_of_aws_counts_as_no_refusal(service: Service) -> None:
    away = EndpointUnreachable("reset", code="Unreachable", retriable=True)
    service.producer.fail(error=away)
    service.enqueue(rebill("a"))
    done = service.relay().send_once()
    assert (done.sent, done.refused, len(done.waiting)) == (0, (), 1)
    assert service.relay().backlog().refused == 0


def test_rows_that_were_sent_long_ago_go_and_others_stay(service: Service) -> None:
    service.enqueue(rebill("a"), rebill("b"))
    service.relay(round_max=1).send_once()
    assert service.relay().prune(NOW) == 0
    assert service.relay().prune(NOW + timedelta(days=1)) == 1
    assert service.relay().backlog().waiting == 1


def test_two_relays_send_each_row_once_and_in_order(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path}/shop.db", connect_args={"timeout": 30})
    metadata = MetaData()
    tables = OutboxTables.add_to(metadata)
    metadata.create_all(engine)
    service = Service(engine, tables)
    ids = service.enqueue(*(rebill(f"a-{number}") for number in range(60)))

    def carry() -> None:
        relay = service.relay(round_max=7)
        while relay.send_once().taken:
            pass

    with service.producer:
        threads = [threading.Thread(target=carry) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert service.sent == ids
    engine.dispose()


@pytest.fixture
def async_url(superuser_url: str) -> str:
    return superuser_url.replace("postgresql://", "postgresql+asyncpg://")


async def test_async_sessions_and_relays_on_postgresql(async_url: str) -> None:
    engine = create_async_engine(async_url)
    metadata = MetaData()
    tables = OutboxTables.add_to(metadata, name="outbox", schema="public")
    outbox = Outbox(tables, source="/shop")
    async with engine.begin() as connection:
        await connection.run_sync(metadata.create_all)
    async with AsyncSession(engine) as session, session.begin():
        ids = [
            await outbox.enqueue_async(session, rebill(f"a-{number}"), tenant="acme")
            for number in range(40)
        ]
    async with RecordingProducer(source="/relay") as producer:
        relays = [AsyncRelay(engine, tables, producer, round_max=5) for _ in range(3)]

        async def carry(relay: AsyncRelay) -> None:
            while (await relay.send_once()).taken:
                pass

        await asyncio.gather(*(carry(relay) for relay in relays))
        assert [message.event_id for message in producer.sent] == ids
        assert (await relays[0].backlog()).waiting == 0
        assert await relays[0].prune(datetime(2100, 1, 1, tzinfo=UTC)) == 40
    await engine.dispose()


def said(capsys: pytest.CaptureFixture[str]) -> tuple[str, str]:
    captured = capsys.readouterr()
    return captured.out, captured.err


def outgoing(found: Sequence[Outgoing]) -> list[str]:
    return [message.event_id for message in found]


@pytest.mark.usefixtures("aws_environment")
def test_the_command_makes_tables_carries_rows_and_says_what_waits(
    queues: dict[str, str],
    stack_name: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert "rebill" in queues
    url = f"sqlite:///{tmp_path}/shop.db"
    assert main(["--database-url", url, "create-tables"]) == 0
    engine = create_engine(url)
    outbox = Outbox(OutboxTables.add_to(MetaData()), source="/shop")
    with Session(engine) as session, session.begin():
        outbox.enqueue(session, rebill("a"), tenant="acme")
    engine.dispose()
    said(capsys)
    assert main(["--database-url", url, "status", "--json"]) == 0
    assert json.loads(said(capsys)[0])["waiting"] == 1
    assert main(["--database-url", url, "relay", "--stack", stack_name, "--once"]) == 0
    assert said(capsys)[0] == "1 sent, 0 left.\n"
    assert main(["--database-url", url, "status"]) == 0
    assert said(capsys)[0].startswith("0 wait")


@pytest.mark.usefixtures("aws_environment")
def test_the_command_carries_over_an_async_driver_and_ends_with_1_when_rows_are_left(
    async_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--database-url", async_url, "create-tables"]) == 0

    async def enqueue() -> None:
        engine = create_async_engine(async_url)
        outbox = Outbox(OutboxTables.add_to(MetaData()), source="/shop")
        async with AsyncSession(engine) as session, session.begin():
            await outbox.enqueue_async(session, rebill("a"), tenant="acme")
        await engine.dispose()

    asyncio.run(enqueue())
    said(capsys)
    assert main(["--database-url", async_url, "relay", "--stack", "no-such", "--once"]) == 1
    out, err = said(capsys)
    assert out == "0 sent, 1 left.\n"
    assert "no-such-rebill does not exist" in err


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["status"], 2, "BILLFLEET_OUTBOX_DATABASE_URL"),
        (["--database-url", "secret-thing", "status"], 2, "no SQLAlchemy URL"),
        (["--database-url", "nosuch://u:secret@h/d", "status"], 2, "can't be used"),
        (["--database-url", "sqlite://", "relay"], 2, "--stack"),
        (["--database-url", "sqlite://", "status"], 3, "no such table"),
    ],
)
def test_the_command_says_what_is_wrong_and_never_a_password(
    arguments: list[str],
    code: int,
    says: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("BILLFLEET_OUTBOX_DATABASE_URL", raising=False)
    assert main(arguments) == code
    out, err = said(capsys)
    assert says in err
    assert "secret" not in out + err


def test_retry_policy_and_errors_are_the_librarys_own(service: Service) -> None:
    throttled = SendFailed("slow down", code="Throttling", retriable=True)
    service.producer.fail(error=throttled, times=RetryPolicy().attempts_max - 1)
    service.enqueue(rebill("a"))
    assert service.relay().send_once().sent == 1
    assert outgoing(service.producer.sent) == service.sent
