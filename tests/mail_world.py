"""Accounts that owe, people who ask, and a mail service in memory, for tests of the mail workers.

Messages go through the handlers as the runtime would give them; `relay` carries what the outbox
holds to the mail worker, as SNS would. Time stands still unless a test moves it.
"""

import asyncio
import itertools
from collections.abc import Sequence
from datetime import UTC, datetime
from email import message_from_bytes, policy
from email.message import EmailMessage

from billfleet_contracts import (
    DueBillsReady,
    DueBillsRequested,
    Envelope,
    Event,
    Recipient,
    SendMail,
    wrap,
)
from billfleet_db import Database, consents
from billfleet_db.consents import Decision
from billfleet_db.customers import Customer, upsert_customers
from billfleet_db.mail import Contact, Mail, Request, mails, recipients, requests
from billfleet_workers.adapters.memory_mailer import MemoryMailer
from billfleet_workers.adapters.memory_objects import MemoryObjectStore
from billfleet_workers.adapters.memory_windows import MemoryWindows
from billfleet_workers.handlers.email.handler import EmailHandler, MailPorts
from billfleet_workers.handlers.email.links import Links
from billfleet_workers.handlers.email.policy import MailPolicy
from billfleet_workers.handlers.email.turns import Turns
from billfleet_workers.handlers.email_due_bills.handler import (
    DueBillsHandler,
    DueBillsPorts,
    NothingDue,
)
from billfleet_workers.runtime.clock import ManualClock
from billfleet_workers.runtime.handling import Finished, Work
from rebill_world import FEBRUARY, MARCH, CountingMetrics, account, handle, left, seed

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
SECRET = "a secret of the tests"
POLICY = MailPolicy("billing@mail.example", "news@mail.example")
ADA = "ada@customers.example"


class MailWorld:
    """The two mail workers over one database, with everything else in memory."""

    def __init__(self, database: Database, *, nothing_due: NothingDue = "mail") -> None:
        self.database = database
        self.clock = ManualClock(NOW)
        self.mailer = MemoryMailer()
        self.objects = MemoryObjectStore(self.clock)
        self.windows = MemoryWindows(self.clock)
        self.metrics = CountingMetrics()
        self._numbers = itertools.count(1)
        self.links = Links("https://pay.example", (SECRET,))
        self.policy = POLICY
        self.due_bills = DueBillsHandler(
            DueBillsPorts(database, self.windows, self.objects, self.clock, self.metrics),
            nothing_due,
            "/test/email-due-bills",
        )
        self.email = self.new_email_handler()

    def new_email_handler(self) -> EmailHandler:
        """A mail worker as another process would start it."""
        turns = Turns(None, self.mailer.name, self.clock)
        ports = MailPorts(
            self.database,
            self.mailer,
            self.objects,
            self.windows,
            turns,
            self.links,
            self.clock,
            self.metrics,
        )
        return EmailHandler(ports, self.policy, "/test/email")

    async def open_account(
        self,
        name: str = "a1",
        *,
        tenant: str = "acme",
        email: str | None = ADA,
        owes: bool = True,
        customer: str = "Ada Lovelace",
        locale: str = "en-US",
    ) -> None:
        """An account whose customer has this address, with two open bills unless it owes none."""
        await seed(self.database, account(name, FEBRUARY), tenant=tenant)
        await self.set_customer(email, tenant=tenant, name=customer, locale=locale)
        if owes:
            await handle(self.database, (name, FEBRUARY), (name, MARCH), tenant=tenant)

    async def set_customer(
        self,
        email: str | None,
        *,
        tenant: str = "acme",
        name: str = "Ada Lovelace",
        locale: str = "en-US",
    ) -> None:
        async with self.database.transaction() as connection:
            await upsert_customers(connection, [Customer(tenant, "c1", name, email, locale)])

    async def add_contact(self, email: str, *, tenant: str = "acme") -> None:
        async with self.database.transaction() as connection:
            contact = Contact(tenant, "boss", "Grace Hopper", email)
            await recipients.upsert_contact(connection, contact)

    async def consent(self, *, given: bool = True, tenant: str = "acme") -> None:
        async with self.database.transaction() as connection:
            decision = Decision("c1", "marketing", is_given=given, decided_at=self.clock.now())
            await consents.decide(connection, tenant, [decision])

    def work(self, event: Event, *, tenant: str = "acme", receive_count: int = 1) -> Work:
        """One claimed delivery of the event, each with a token of its own."""
        envelope = wrap(event, tenant=tenant, source="/test", now=self.clock.now())
        return self.again(envelope, receive_count)

    def again(self, envelope: Envelope, receive_count: int = 2) -> Work:
        number = next(self._numbers)
        return Work(envelope, f"m-{number}", receive_count, self.clock.now(), f"token-{number}")

    async def ask(self, request_id: str, account_id: str = "a1", tenant: str = "acme") -> Finished:
        """Somebody asks what the account owes."""
        event = DueBillsRequested(account_id=account_id, request_id=request_id)
        return await self.due_bills.handle(self.work(event, tenant=tenant))

    async def ready(self) -> list[Envelope]:
        """What was announced to the mail worker, and is still in the outbox."""
        return await left(self.database, DueBillsReady)

    async def relay(self) -> list[Finished]:
        """Every announced mail reaches the mail worker, which knows what it has done before."""
        return [await self.email.handle(self.again(one)) for one in await self.ready()]

    async def send(self, event: SendMail, *, tenant: str = "acme") -> Finished:
        return await self.email.handle(self.work(event, tenant=tenant))

    async def request(self, request_id: str, tenant: str = "acme") -> Request:
        async with self.database.transaction() as connection:
            found = await requests.get(connection, tenant, request_id)
        assert found is not None
        return found

    async def mails(self) -> Sequence[Mail]:
        """All mails, oldest first."""
        async with self.database.transaction() as connection:
            return (await mails.newest(connection))[::-1]

    async def mail(self) -> Mail:
        [mail] = await self.mails()
        return mail

    async def let_time_pass(self, until: "asyncio.Task[Finished]", *, step_s: float) -> None:
        """Move the clock until the task has ended, leaving the database time to answer."""
        while not until.done():
            await self.clock.advance(step_s)
            await asyncio.wait([until], timeout=0.002)

    @property
    def letter(self) -> EmailMessage:
        """The one mail that the service took, as its reader's program reads it."""
        [taken] = self.mailer.taken
        return parsed(taken.body)


def parsed(body: bytes) -> EmailMessage:
    message = message_from_bytes(body, policy=policy.default)
    assert isinstance(message, EmailMessage)
    return message


def part_of(message: EmailMessage, kind: str) -> str:
    """The text of one part, `plain` or `html`."""
    body = message.get_body((kind,))
    assert body is not None
    return str(body.get_content())


def verification(mail_id: str = "v-1", **recipient: str) -> SendMail:
    """A mail that a front end asks for."""
    return SendMail(
        template="verification",
        recipient=Recipient.model_validate(recipient or {"customer_id": "c1"}),
        variables={
            "code": "493817",
            "link": "https://shop.example/verify?t=s3cret",
            "expires_in_minutes": 30,
        },
        mail_id=mail_id,
    )


def marketing(mail_id: str = "n-1", **changed: str) -> SendMail:
    """News, to a customer."""
    variables: dict[str, str | int | bool] = {
        "headline": "Spring is here",
        "body": "Double points in March.\n\nNothing to activate.",
        "action": "See how",
        "action_url": "https://shop.example/spring",
    }
    return SendMail(
        template="marketing",
        recipient=Recipient(customer_id="c1"),
        variables={**variables, **changed},
        mail_id=mail_id,
    )
