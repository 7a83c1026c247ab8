"""Links of mails: a file for a minute, a plain word when it is gone, and one click to stop."""

from datetime import timedelta
from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from billfleet_contracts.links import LinkKind, make_link
from billfleet_db import files
from billfleet_db.consents import Decision, decide
from billfleet_db.files import NewFile
from billfleet_db.mail import recipients
from gateway_world import START, FrontDoor

ONE_CLICK = {"List-Unsubscribe": "One-Click"}


def path(
    front: FrontDoor,
    subject: str,
    kind: LinkKind = "file",
    tenant: str = "acme",
    days: int = 30,
    secret: str | None = None,
) -> str:
    url = make_link(
        "http://door",
        [secret] if secret else front.door.options.link_secrets,
        kind=kind,
        tenant=tenant,
        subject=subject,
        expires_at=START + timedelta(days=days),
    )
    return url.removeprefix("http://door")


async def add_file(front: FrontDoor, tenant: str = "acme", days: int = 30) -> UUID:
    file_id = uuid4()
    new = NewFile(
        tenant,
        file_id,
        "exports",
        f"exports/{tenant}/2026/03/{file_id}-rows.csv",
        "rows.csv",
        "text/csv",
        10,
        "0" * 64,
        START,
        START + timedelta(days=days),
    )
    async with front.inside.transaction() as connection:
        await files.add(connection, new)
    return file_id


@pytest.fixture
async def stranger(front: FrontDoor) -> Any:
    async with front.client(None) as client:
        yield client


async def test_link_sends_its_reader_to_the_file_for_a_minute(
    front: FrontDoor, stranger: httpx.AsyncClient
) -> None:
    """R84."""
    answer = await stranger.get(path(front, str(await add_file(front))))
    assert answer.status_code == 302
    assert answer.headers["location"].startswith("https://files.test/exports/acme/2026/03/")
    assert "for=60&as=rows.csv&type=text/csv" in answer.headers["location"]
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"


async def test_link_to_what_has_expired_or_was_revoked_says_so(
    front: FrontDoor, stranger: httpx.AsyncClient
) -> None:
    """R85: not S3's AccessDenied."""
    file_id = await add_file(front)
    link = path(front, str(file_id))
    async with front.inside.transaction() as connection:
        await files.revoke(connection, "acme", file_id, reason="mistake", now=START)
    revoked = await stranger.get(link)
    assert (revoked.status_code, "expired" in revoked.text) == (410, True)
    soon = path(front, str(await add_file(front, days=1)))
    front.later(timedelta(days=2))
    assert (await stranger.get(soon)).status_code == 410
    front.later(timedelta(days=40))
    assert (await stranger.get(soon)).status_code == 410


@pytest.mark.parametrize("what", ["forged", "cut", "other kind", "other tenant", "nothing"])
async def test_link_that_is_not_ours_is_not_known(
    front: FrontDoor, stranger: httpx.AsyncClient, what: str
) -> None:
    """R70."""
    file_id = str(await add_file(front))
    links = {
        "forged": path(front, file_id, secret="another secret of some length"),
        "cut": path(front, file_id)[:-3],
        "other kind": path(front, file_id, "unsubscribe").replace("/u/", "/f/"),
        "other tenant": path(front, file_id, tenant="bolt"),
        "nothing": path(front, str(uuid4())),
    }
    answer = await stranger.get(links[what])
    assert answer.status_code == 404
    assert "This link is not known" in answer.text


async def consents(front: FrontDoor) -> bool:
    async with front.inside.transaction() as connection:
        return await recipients.has_consent(connection, "acme", "c1", "marketing")


@pytest.fixture
async def agreed(front: FrontDoor) -> FrontDoor:
    """Ada wants offers."""
    async with front.inside.transaction() as connection:
        decision = Decision("c1", "marketing", is_given=True, decided_at=START - timedelta(days=1))
        await decide(connection, "acme", [decision])
    return front


async def test_looking_at_the_page_changes_nothing(
    agreed: FrontDoor, stranger: httpx.AsyncClient
) -> None:
    """R53: machines look at links too."""
    link = path(agreed, "marketing:c1", "unsubscribe")
    seen = await stranger.get(link)
    assert seen.status_code == 200
    assert '<form method="post">' in seen.text
    assert "Acme" in seen.text
    assert "default-src 'none'" in seen.headers["content-security-policy"]
    assert (await stranger.post(link)).status_code == 400
    assert await consents(agreed)


@pytest.mark.parametrize("said", [ONE_CLICK, {"confirm": "1"}], ids=["one click", "button"])
async def test_one_click_ends_marketing_and_again_changes_nothing(
    agreed: FrontDoor, stranger: httpx.AsyncClient, said: dict[str, str]
) -> None:
    """R52, R53: without cookies, login or redirect."""
    link = path(agreed, "marketing:c1", "unsubscribe", days=3650)
    for _ in range(2):
        answer = await stranger.post(link, data=said)
        assert answer.status_code == 200
        assert "no more" in answer.text
    assert not await consents(agreed)
    assert len(await agreed.rows("SELECT 1 FROM customer.consents")) == 2


async def test_nobody_is_unsubscribed_by_a_link_for_another(
    agreed: FrontDoor, stranger: httpx.AsyncClient
) -> None:
    """R70."""
    for subject, tenant in (("marketing:none", "acme"), ("marketing:c1", "nobody"), ("x", "acme")):
        link = path(agreed, subject, "unsubscribe", tenant)
        assert (await stranger.post(link, data=ONE_CLICK)).status_code == 404
    assert await consents(agreed)
