"""One event, at most one mail: suppression, faults of the mail service, and deaths in between."""

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta

import pytest

from billfleet_contracts import (
    MailRefused,
    MailSent,
    PaymentFailed,
    PaymentSucceeded,
    Recipient,
    SendMail,
)
from billfleet_db.mail import Suppression, policies, suppressions
from billfleet_workers.adapters.memory_objects import MemoryObjectStore
from billfleet_workers.runtime.clock import Clock
from billfleet_workers.runtime.errors import Permanent, Transient
from billfleet_workers.runtime.ports.mailer import Rejected, Throttled
from mail_world import ADA, NOW, MailWorld, parsed, part_of, verification
from rebill_world import FEBRUARY, execute, left

BAD_ADDRESSES = (
    (None, "no_address"),
    ("", "no_address"),
    ("ada", "bad_address"),
    ("ada@customers.example\r\nBcc: eve@evil.example", "bad_address"),
    ("ada@customers.example, eve@evil.example", "bad_address"),
    ("Ada <ada@customers.example>", "bad_address"),
)
UNFILLED: list[tuple[str, dict[str, str | int | bool], str]] = [
    ("unheard_of", {}, "there is no mail template unheard_of"),
    ("verification", {"code": "1"}, "lacks the variable expires_in_minutes, link"),
    ("due_bills", {}, "is not for requests"),
    (
        "verification",
        {"code": "1", "link": "javascript:alert(1)", "expires_in_minutes": 1},
        "link of template verification is no web address",
    ),
    (
        "export_failed",
        {"reason": "x", "more": "y"},
        "template export_failed has no variable more",
    ),
    (
        "report_ready",
        {
            "title": "A\r\nBcc: eve@evil.example",
            "first_day": "2026-01-01",
            "last_day": "2026-01-31",
            "link": "https://a.example/",
            "link_until": "2026-02-01",
        },
        "would hold a line break",
    ),
    (
        "receipt",
        {
            "account_id": "a1",
            "amount_minor": 1,
            "currency": "XXQ",
            "period_start": "2026-01-01",
            "paid_at": "2026-01-01",
        },
        "not an ISO 4217 currency",
    ),
]


async def test_a_mail_that_a_front_end_asks_for_goes_out_once_and_is_announced(
    world: MailWorld,
) -> None:
    await world.open_account()
    assert (await world.send(verification())).note == {"sent": 1}
    assert (await world.send(verification())).note == {"already_done": 1}
    assert "493817" in part_of(world.letter, "html")
    mail = await world.mail()
    assert (mail.state, mail.address, mail.attempts) == ("sent", ADA, 1)
    [announced] = await left(world.database, MailSent)
    assert isinstance(announced.data, MailSent)
    assert announced.data.mail_id == str(mail.mail_id)
    assert ADA not in announced.model_dump_json()


async def test_two_workers_with_the_same_mail_hand_it_over_once(world: MailWorld) -> None:
    await world.open_account()
    work = world.work(verification())
    others = [world.new_email_handler() for _ in range(5)]
    done = await asyncio.gather(
        *(other.handle(world.again(work.envelope)) for other in others), return_exceptions=True
    )
    assert len(world.mailer.taken) == 1
    assert sum(not isinstance(one, Transient) for one in done) >= 1


async def test_a_suppressed_address_gets_nothing_and_the_refusal_is_announced(
    world: MailWorld,
) -> None:
    """R48: asked at the moment of sending, in any case of letters."""
    await world.open_account(email="Ada@Customers.example")
    async with world.database.transaction() as connection:
        against = Suppression("acme", "ada@customers.example", "all", "bounce", NOW)
        await suppressions.add(connection, against)
    assert (await world.send(verification())).note == {"suppressed": 1}
    assert world.mailer.taken == []
    [told] = await left(world.database, MailRefused)
    assert isinstance(told.data, MailRefused)
    assert (told.data.reason, told.data.recipient.customer_id) == ("suppressed", "c1")


async def test_what_one_tenant_suppresses_another_still_writes_to(world: MailWorld) -> None:
    """R49: suppression is the tenant's own."""
    await world.open_account("a1", tenant="acme")
    await world.open_account("b1", tenant="other")
    async with world.database.transaction() as connection:
        await suppressions.add(connection, Suppression("acme", ADA, "all", "complaint", NOW))
    assert (await world.send(verification(), tenant="other")).note == {"sent": 1}
    assert (await world.send(verification(), tenant="acme")).note == {"suppressed": 1}


async def test_an_address_that_is_none_is_refused_with_its_reason(world: MailWorld) -> None:
    """R54: a line break in an address never reaches a header."""
    await world.open_account(owes=False)
    for number, (email, reason) in enumerate(BAD_ADDRESSES):
        await world.set_customer(email)
        assert (await world.send(verification(f"v-{number}"))).note == {reason: 1}
    assert {mail.reason for mail in await world.mails()} == {"no_address", "bad_address"}
    assert world.mailer.taken == []


async def test_a_name_with_a_line_break_is_refused(world: MailWorld) -> None:
    """R54."""
    await world.open_account(owes=False, customer="Ada\r\nBcc: eve@evil.example")
    assert (await world.send(verification())).note == {"bad_address": 1}


async def test_a_name_of_any_script_arrives_as_it_is_spelt(world: MailWorld) -> None:
    """R54: display names are encoded, not pasted."""
    await world.open_account(owes=False, customer='Zoë "Zo" 山田, <script>')
    await world.send(verification())
    letter = world.letter
    assert letter["To"].addresses[0].display_name == 'Zoë "Zo" 山田, <script>'
    assert "<script>" not in part_of(letter, "html")
    assert "&lt;script&gt;" in part_of(letter, "html")


async def test_a_variable_is_never_read_as_a_template(world: MailWorld) -> None:
    """R54: what users write is data."""
    await world.open_account(owes=False)
    evil = "{{ fmt.__class__ }}{% for x in [1] %}x{% endfor %}"
    event = verification()
    await world.send(event.model_copy(update={"variables": {**event.variables, "code": evil}}))
    assert "{{ fmt.__class__ }}" in part_of(world.letter, "plain")


async def test_a_request_that_fills_no_template_is_poison_and_sends_nothing(
    world: MailWorld,
) -> None:
    """R54: also a subject that would begin another header."""
    await world.open_account(owes=False)
    for template, variables, said in UNFILLED:
        event = SendMail(
            template=template, recipient=Recipient(customer_id="c1"), variables=variables
        )
        with pytest.raises(Permanent, match=said):
            await world.send(event)
    assert world.mailer.taken == []
    assert await world.mails() == []


async def test_being_sent_away_is_waited_out_and_costs_no_attempt(world: MailWorld) -> None:
    await world.open_account(owes=False)
    world.mailer.answers += [Throttled("Maximum sending rate exceeded.", 1.0)] * 3
    sending = asyncio.create_task(world.send(verification()))
    await world.let_time_pass(sending, step_s=0.1)
    assert (await sending).note == {"sent": 1}
    mail = await world.mail()
    assert (mail.attempts, mail.maybe_twice) == (1, False)


async def test_a_service_that_is_away_fails_no_mail_and_stops_no_other_worker(
    world: MailWorld,
) -> None:
    await world.open_account(owes=False)
    world.mailer.faults.take_away()
    sending = asyncio.create_task(world.send(verification()))
    await world.let_time_pass(sending, step_s=30)
    error = sending.exception()
    assert isinstance(error, Transient)
    assert (await world.mail()).state == "prepared"


async def test_a_mail_that_the_service_rejects_is_refused_and_never_tried_again(
    world: MailWorld,
) -> None:
    await world.open_account(owes=False)
    world.mailer.answers.append(Rejected("BadRequestException", "Local part too long"))
    assert (await world.send(verification())).note == {"rejected": 1}
    assert (await world.send(verification())).note == {"already_done": 1}
    assert (await world.mail()).reason == "rejected"


async def test_a_mail_whose_answer_was_lost_goes_once_more_with_a_flag_and_never_again(
    world: MailWorld,
) -> None:
    """R47: accepted, and nobody heard it: at most one duplicate, and it is flagged."""
    await world.open_account(owes=False)
    world.mailer.lose_answer()
    work = world.work(verification())
    with pytest.raises(Transient):
        await world.email.handle(work)
    with pytest.raises(Transient, match="in hand"):
        await world.email.handle(world.again(work.envelope))
    await world.clock.advance(61)
    assert (await world.email.handle(world.again(work.envelope))).note == {"sent": 1}
    assert len(world.mailer.taken) == 2
    mail = await world.mail()
    assert (mail.attempts, mail.maybe_twice) == (2, True)
    [announced] = await left(world.database, MailSent)
    assert isinstance(announced.data, MailSent)
    assert announced.data.maybe_twice


async def test_a_mail_whose_answer_is_lost_twice_is_uncertain_and_rests(world: MailWorld) -> None:
    """R47: no third time."""
    await world.open_account(owes=False)
    work = world.work(verification())
    for _ in range(2):
        world.mailer.lose_answer()
        with pytest.raises(Transient):
            await world.email.handle(world.again(work.envelope))
        await world.clock.advance(61)
    assert (await world.email.handle(world.again(work.envelope))).note == {"uncertain": 1}
    assert (await world.email.handle(world.again(work.envelope))).note == {"already_done": 1}
    assert len(world.mailer.taken) == 2
    assert (await world.mail()).state == "uncertain"


async def test_a_worker_that_dies_before_the_call_leaves_nothing_behind(world: MailWorld) -> None:
    """R47: `prepared` goes on as if new."""
    await world.open_account(owes=False)
    work = world.work(verification())
    dying = asyncio.create_task(world.email.handle(work))
    await asyncio.sleep(0)
    dying.cancel()
    await asyncio.gather(dying, return_exceptions=True)
    await world.clock.advance(61)
    assert (await world.email.handle(world.again(work.envelope))).note == {"sent": 1}
    assert len(world.mailer.taken) == 1


async def test_a_mail_to_an_account_of_another_tenant_has_no_recipient(world: MailWorld) -> None:
    """R55."""
    await world.open_account("a1", tenant="acme", owes=False)
    await world.open_account("b1", tenant="other", owes=False)
    asked = verification(account_id="b1")
    assert (await world.send(asked, tenant="acme")).note == {"no_recipient": 1}


async def test_the_kept_copy_shows_no_code_and_no_link_that_opens_something(
    world: MailWorld,
) -> None:
    await world.open_account(owes=False)
    await world.send(verification())
    mail = await world.mail()
    assert mail.object_key == f"mails/acme/2026/03/{mail.mail_id}.eml"
    copy = parsed(await world.objects.get(mail.object_key))
    assert "493817" not in part_of(copy, "plain")
    assert "s3cret" not in part_of(copy, "html")
    assert "493817" in part_of(world.letter, "plain")


async def test_a_store_that_is_away_keeps_no_copy_and_holds_up_no_mail(world: MailWorld) -> None:
    await world.open_account(owes=False)
    world.objects.faults.take_away()
    assert (await world.send(verification())).note == {"sent": 1}


class _BrokenStore(MemoryObjectStore):
    """An object store that fails as nobody foresaw; or, told to hang, never answers."""

    def __init__(self, clock: Clock, *, hangs: bool) -> None:
        super().__init__(clock)
        self._hangs = hangs

    async def put(
        self,
        key: str,
        body: bytes,
        *,
        content_type: str,
        metadata: Mapping[str, str] | None = None,
        if_absent: bool = False,
    ) -> None:
        if self._hangs:
            await asyncio.Event().wait()
        raise RuntimeError("a defect of whoever keeps copies")


@pytest.mark.parametrize("hangs", [False, True], ids=["breaks", "hangs"])
async def test_a_mail_that_went_out_is_recorded_as_sent_whatever_becomes_of_its_copy(
    world: MailWorld, hangs: bool
) -> None:
    """R47: or it would count as unheard, and go again."""
    await world.open_account(owes=False)
    world.objects = _BrokenStore(world.clock, hangs=hangs)
    world.policy = replace(world.policy, copy_patience_s=0.01)
    handler = world.new_email_handler()
    work = world.work(verification())
    assert (await handler.handle(work)).note == {"sent": 1}
    assert (await handler.handle(world.again(work.envelope))).note == {"already_done": 1}
    assert len(world.mailer.taken) == 1
    assert (await world.mail()).state == "sent"
    assert world.metrics.counted["mail_copies_lost", "verification"] == 1


async def test_a_receipt_goes_only_where_the_tenant_wants_receipts(world: MailWorld) -> None:
    await world.open_account(owes=False)
    paid = PaymentSucceeded(
        account_id="a1",
        period_start=FEBRUARY,
        attempt_no=1,
        amount_minor=2985,
        currency="USD",
        gateway="log",
        transfer_id=7,
    )
    assert (await world.email.handle(world.work(paid))).note == {"not_wanted": 1}
    async with world.database.transaction() as connection:
        await policies.choose(connection, "acme", {"receipt": True})
    handler = world.new_email_handler()
    assert (await handler.handle(world.work(paid))).note == {"sent": 1}
    assert world.letter["Subject"] == "Payment received: $29.85"


async def test_a_declined_payment_is_told_with_the_day_of_the_next_try(world: MailWorld) -> None:
    await world.open_account(owes=False, locale="de-DE")
    declined = PaymentFailed(
        account_id="a1",
        period_start=FEBRUARY,
        attempt_no=1,
        amount_minor=298500,
        currency="EUR",
        gateway="log",
        decline_code="card_declined",
        decline_kind="soft",
        next_attempt_at=NOW + timedelta(days=3),
        account_state="PAST_DUE",
    )
    await world.email.handle(world.work(declined))
    text = part_of(world.letter, "plain")
    assert "2.985,00\xa0€" in text
    assert "5. März 2026" in text


async def test_nobody_is_told_of_a_declined_payment_when_the_bill_is_paid_by_then(
    world: MailWorld,
) -> None:
    """The mail may have waited for hours: for the mail service, or with the dead letters."""
    await world.open_account()
    declined = PaymentFailed(
        account_id="a1",
        period_start=FEBRUARY,
        attempt_no=1,
        amount_minor=2985,
        currency="USD",
        gateway="log",
        decline_code="card_declined",
        decline_kind="soft",
        next_attempt_at=NOW,
        account_state="PAST_DUE",
    )
    late = world.work(declined)
    await execute(
        world.database,
        "UPDATE billing.bills SET state = 'paid', paid_at = now() WHERE period_start = :period",
        period=FEBRUARY,
    )
    assert (await world.email.handle(late)).note == {"superseded": 1}
    assert world.mailer.taken == []
