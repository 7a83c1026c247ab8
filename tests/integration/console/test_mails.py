"""A mail's page: what is known, and what its recipient sees, in a frame that can do nothing."""

from datetime import timedelta
from email.message import EmailMessage
from uuid import UUID, uuid4

import httpx

from billfleet_db import Database
from billfleet_db.mail import NewMail, mails
from billfleet_db.tenants import Tenant, ensure_tenant
from console_room import ConsoleRoom

KEY = "mails/acme/1.eml"
HOSTILE = "<h1>Your bill</h1><script>alert(1)</script><img src='https://evil.test/x.png'>"


async def sent(room: ConsoleRoom, database: Database) -> UUID:
    """A mail that was handed over, and whose copy says more than we wrote."""
    mail_id, now = uuid4(), room.clock.now()
    new = NewMail(
        "acme", mail_id, "k", "due_bills", "transactional", "account", "A-1", "work-1", now
    )
    async with database.transaction() as connection:
        await ensure_tenant(connection, Tenant("acme", "Acme", "EUR"))
        mail = await mails.prepare(connection, new)
        await mails.hand_over(
            connection,
            mail,
            address="ada@x.test",
            locale="en",
            subject="<b>Your bill</b>",
            object_key=KEY,
            token="t",
            leased_until=now + timedelta(minutes=1),
        )
    copy = EmailMessage()
    copy["Subject"] = "Your bill"
    copy.set_content("Your bill")
    copy.add_alternative(HOSTILE, subtype="html")
    room.mails[KEY] = copy.as_bytes()
    return mail_id


async def test_a_mail_is_shown_as_its_recipient_sees_it_in_a_frame_that_can_do_nothing(
    room: ConsoleRoom, database: Database, browser: httpx.AsyncClient
) -> None:
    path = f"/mails/acme/{await sent(room, database)}"
    around = await browser.get(path)
    assert "&lt;b&gt;Your bill" in around.text
    assert (
        f'<iframe class="mail" sandbox title="The mail as its recipient sees it" src="{path}/body"'
        in (around.text)
    )
    assert around.headers["content-security-policy"].endswith("frame-src 'self'")
    inside = await browser.get(f"{path}/body")
    assert "<h1>Your bill</h1>" in inside.text
    policy = inside.headers["content-security-policy"].split("; ")
    assert {"default-src 'none'", "frame-ancestors 'self'", "sandbox"} <= set(policy)
    assert not [one for one in policy if one.startswith("script-src") or "http" in one]


async def test_mails_lead_to_their_page(
    room: ConsoleRoom, database: Database, browser: httpx.AsyncClient
) -> None:
    mail_id = await sent(room, database)
    assert f'href="/mails/acme/{mail_id}"' in (await browser.get("/records/mails")).text
    assert f'href="/mails/acme/{mail_id}"' in (await browser.get("/life?id=work-1")).text


async def test_a_mail_of_another_tenant_and_a_copy_that_is_gone_are_not_found(
    room: ConsoleRoom, database: Database, browser: httpx.AsyncClient
) -> None:
    mail_id = await sent(room, database)
    assert (await browser.get(f"/mails/bolt/{mail_id}")).status_code == 404
    room.mails.clear()
    gone = await browser.get(f"/mails/acme/{mail_id}/body")
    assert (gone.status_code, "no copy" in gone.text) == (404, True)
    assert (await browser.get("/mails/acme/nonsense")).status_code == 404
