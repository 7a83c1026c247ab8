"""From a request to one mail an hour, whatever comes twice, late or not at all."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from billfleet_contracts import DueBillsReady, DueBillsRequested, decode
from billfleet_db import Database
from billfleet_workers.adapters.memory_objects import MemoryObjectStore
from billfleet_workers.adapters.memory_windows import MemoryWindows
from billfleet_workers.handlers.email_due_bills.handler import (
    SECONDS_OF_LEASE,
    DueBillsHandler,
    DueBillsPorts,
)
from billfleet_workers.runtime.clock import Clock
from billfleet_workers.runtime.errors import Permanent, Unavailable
from mail_world import ADA, NOW, MailWorld, part_of
from rebill_world import execute, left, read

HOUR = timedelta(minutes=60)


async def test_who_asks_gets_one_mail_with_amounts_days_and_links(world: MailWorld) -> None:
    await world.open_account()
    assert (await world.ask("r1")).note == {"accepted": 1}
    await world.relay()
    letter = world.letter
    assert letter["To"] == f"Ada Lovelace <{ADA}>"
    assert letter["From"] == "Acme <billing@mail.example>"
    assert letter["Subject"] == "Your open bills: $59.70"
    page = part_of(letter, "html")
    assert "February 1, 2026" in page
    assert page.count("https://pay.example/f/") == 2
    text = part_of(letter, "plain")
    assert "$29.85, due March 1, 2026" in text
    request = await world.request("r1")
    assert (request.state, request.mail_state, request.sent_at) == ("accepted", "sent", NOW)


async def test_a_second_request_within_the_hour_is_told_when_the_last_mail_went(
    world: MailWorld,
) -> None:
    await world.open_account()
    await world.ask("r1")
    await world.relay()
    await world.clock.advance(59 * 60 + 59)
    assert (await world.ask("r2")).note == {"duplicate": 1}
    second = await world.request("r2")
    assert (second.state, second.duplicate_of) == ("duplicate", "r1")
    assert (second.last_sent_at, second.next_from) == (NOW, NOW + HOUR)
    await world.clock.advance(1)
    assert (await world.ask("r3")).note == {"accepted": 1}
    await world.relay()
    assert len(world.mailer.taken) == 2


async def test_a_hundred_requests_at_once_give_one_mail(world: MailWorld) -> None:
    """R46."""
    await world.open_account()
    done = await asyncio.gather(*(world.ask(f"r{n}") for n in range(100)))
    notes = [next(iter(one.note)) for one in done]
    assert (notes.count("accepted"), notes.count("duplicate")) == (1, 99)
    await world.relay()
    assert len(world.mailer.taken) == 1


class MeetingStore(MemoryObjectStore):
    """A store in which everybody waits until all have arrived."""

    def __init__(self, clock: Clock, parties: int) -> None:
        super().__init__(clock)
        self._meeting = asyncio.Barrier(parties)

    async def put(self, key: str, body: bytes, **named: Any) -> None:
        if key.endswith("2026-02-01.pdf"):
            await self._meeting.wait()
        await super().put(key, body, **named)


async def test_of_requests_that_all_hold_a_claim_one_is_accepted(world: MailWorld) -> None:
    """R46: DynamoDB saves the work, the account's lock in PostgreSQL is what guarantees."""
    await world.open_account()
    store = MeetingStore(world.clock, 8)

    async def ask(number: int) -> str:
        # A store of windows for each is what a table that was lost in between looks like.
        windows = MemoryWindows(world.clock)
        ports = DueBillsPorts(world.database, windows, store, world.clock, world.metrics)
        event = DueBillsRequested(account_id="a1", request_id=f"r{number}")
        done = await DueBillsHandler(ports, "mail", "/test").handle(world.work(event))
        return next(iter(done.note))

    notes = await asyncio.gather(*(ask(number) for number in range(8)))
    assert sorted(notes) == ["accepted", *["duplicate"] * 7]
    await world.relay()
    assert len(world.mailer.taken) == 1


async def test_the_database_remembers_the_hour_when_the_window_is_lost(world: MailWorld) -> None:
    """R45: no decision rests on what DynamoDB has deleted."""
    await world.open_account()
    await world.ask("r1")
    await world.relay()
    world.windows.lose_everything()
    assert (await world.ask("r2")).note == {"duplicate": 1}
    assert (await world.request("r2")).last_sent_at == NOW


async def test_a_crash_after_the_claim_silences_nobody_for_the_hour(world: MailWorld) -> None:
    """R47: the claim is a short lease until a mail has gone."""
    await world.open_account()
    world.objects.faults.take_away()
    with pytest.raises(Unavailable):
        await world.ask("died")
    world.objects.faults.bring_back()
    assert (await world.ask("early")).note == {"duplicate": 1}
    await world.clock.advance(SECONDS_OF_LEASE)
    assert (await world.ask("later")).note == {"accepted": 1}
    await world.relay()
    assert len(world.mailer.taken) == 1


async def test_the_message_of_the_crash_itself_goes_on_at_once(world: MailWorld) -> None:
    """R47: its token is its request, so its own claim lets it in again."""
    await world.open_account()
    world.objects.faults.take_away()
    with pytest.raises(Unavailable):
        await world.ask("r1")
    world.objects.faults.bring_back()
    assert (await world.ask("r1")).note == {"accepted": 1}


async def test_a_request_delivered_twice_is_answered_once(world: MailWorld) -> None:
    await world.open_account()
    await world.ask("r1")
    assert (await world.ask("r1")).note == {"answered_before": 1}
    assert len(await world.ready()) == 1
    await world.relay()
    assert (await world.ask("r1")).note == {"answered_before": 1}
    await world.relay()
    assert len(world.mailer.taken) == 1


async def test_a_mail_that_waits_too_long_gives_way_to_a_later_request_and_never_follows_it(
    world: MailWorld,
) -> None:
    await world.open_account()
    await world.ask("slow")
    [slow] = await world.ready()
    await world.clock.advance(SECONDS_OF_LEASE)
    assert (await world.ask("fast")).note == {"accepted": 1}
    [_, fast] = await world.ready()
    await world.email.handle(world.again(fast))
    done = await world.email.handle(world.again(slow))
    assert done.note == {"superseded": 1}
    assert len(world.mailer.taken) == 1
    assert (await world.request("slow")).duplicate_of == "fast"


async def test_an_account_that_owes_nothing_is_told_so_and_the_window_counts(
    world: MailWorld,
) -> None:
    """R56."""
    await world.open_account(owes=False)
    await world.ask("r1")
    await world.relay()
    assert world.letter["Subject"] == "Nothing is due"
    assert (await world.ask("r2")).note == {"duplicate": 1}


async def test_by_policy_an_account_that_owes_nothing_hears_nothing_and_the_window_counts(
    database: Database,
) -> None:
    """R56: silence is an answer too."""
    world = MailWorld(database, nothing_due="silence")
    await world.open_account(owes=False)
    assert (await world.ask("r1")).note == {"silent": 1}
    assert await world.ready() == []
    assert (await world.ask("r2")).note == {"duplicate": 1}
    world.windows.lose_everything()
    assert (await world.ask("r3")).note == {"duplicate": 1}
    await world.clock.advance(3600)
    assert (await world.ask("r4")).note == {"silent": 1}


async def test_bills_paid_between_asking_and_sending_are_not_in_the_mail(
    world: MailWorld,
) -> None:
    await world.open_account()
    await world.ask("r1")
    pay = "UPDATE billing.bills SET state = 'paid' WHERE period_start = '2026-02-01'"
    await execute(world.database, pay)
    await world.relay()
    assert world.letter["Subject"] == "Your open bills: $29.85"


async def test_an_account_of_another_tenant_cannot_be_asked_about(world: MailWorld) -> None:
    """R55: tenant and account are those of the request, and belong together."""
    await world.open_account("a1", tenant="acme")
    await world.open_account("b1", tenant="other", email="bob@customers.example")
    assert (await world.ask("r1", "b1", tenant="acme")).note == {"refused": 1}
    assert (await world.request("r1")).reason == "no_recipient"
    assert world.mailer.taken == []


async def test_the_address_is_the_one_on_record_when_the_mail_is_sent(world: MailWorld) -> None:
    """R55: nothing in a message says where a mail goes."""
    await world.open_account()
    await world.ask("r1")
    assert ADA not in (await world.ready())[0].model_dump_json()
    await world.set_customer("ada@new.example")
    await world.relay()
    assert world.letter["To"].addresses[0].addr_spec == "ada@new.example"


async def test_a_refused_mail_does_not_cost_the_hour_and_the_request_says_why(
    world: MailWorld,
) -> None:
    """R48: who asks is told; once there is an address, asking helps."""
    await world.open_account(email=None)
    await world.ask("r1")
    await world.relay()
    refused = await world.request("r1")
    assert (refused.mail_state, refused.mail_reason) == ("refused", "no_address")
    await world.set_customer(ADA)
    assert (await world.ask("r2")).note == {"accepted": 1}
    await world.relay()
    assert len(world.mailer.taken) == 1


async def test_bill_files_are_recorded_in_the_tenants_prefix_for_thirty_days(
    world: MailWorld,
) -> None:
    """R85, R88."""
    await world.open_account()
    await world.ask("r1")
    rows = await read(
        world.database,
        "SELECT object_key, file_name, expires_at - created_at FROM fleet.files ORDER BY file_name",
    )
    [first, second] = rows
    assert str(first[0]).startswith("bills/acme/2026/03/")
    assert first[1] == "bill-a1-2026-02-01.pdf"
    assert second[2] == timedelta(days=30)
    assert (await world.objects.get(str(first[0]))).startswith(b"%PDF-")


async def test_what_is_announced_names_bills_and_files_and_no_person(world: MailWorld) -> None:
    await world.open_account()
    await world.ask("r1")
    [envelope] = await left(world.database, DueBillsReady)
    event = decode(envelope.model_dump_json(exclude_none=True)).data
    assert isinstance(event, DueBillsReady)
    assert [bill.amount_minor for bill in event.bills] == [2985, 2985]
    assert all(bill.file_id for bill in event.bills)
    assert "Lovelace" not in envelope.model_dump_json()


async def test_a_request_for_a_tenant_that_there_is_not_is_poison(world: MailWorld) -> None:
    event = DueBillsRequested(account_id="a1", request_id="r1")
    with pytest.raises(Permanent, match="no tenant nobody"):
        await world.due_bills.handle(world.work(event, tenant="nobody"))
