"""Marketing goes to who agreed, from an address of its own, with a way out that works."""

from billfleet_contracts.links import read_link
from billfleet_db.mail import Suppression, suppressions
from mail_world import ADA, NOW, SECRET, MailWorld, marketing, part_of, verification


async def test_marketing_carries_the_one_click_headers_and_its_own_sender(
    world: MailWorld,
) -> None:
    """R52, R53: RFC 8058, with a token for this customer and this list."""
    await world.open_account(owes=False)
    await world.consent()
    assert (await world.send(marketing())).note == {"sent": 1}
    letter = world.letter
    assert letter["From"].addresses[0].addr_spec == "news@mail.example"
    assert letter["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    url = letter["List-Unsubscribe"].strip("<>")
    assert url.startswith("https://pay.example/u/")
    link = read_link(url.rpartition("/")[2], [SECRET], NOW, kind="unsubscribe")
    assert (link.tenant, link.subject) == ("acme", "marketing:c1")
    assert url in part_of(letter, "html")


async def test_mail_that_is_no_marketing_never_carries_a_way_out(world: MailWorld) -> None:
    """R52: bills and codes are transactional."""
    await world.open_account()
    await world.send(verification())
    letter = world.letter
    assert letter["List-Unsubscribe"] is None
    assert letter["List-Unsubscribe-Post"] is None
    assert "nsubscribe" not in part_of(letter, "html")
    assert letter["From"].addresses[0].addr_spec == "billing@mail.example"


async def test_marketing_goes_to_nobody_who_has_not_agreed(world: MailWorld) -> None:
    """R52."""
    await world.open_account(owes=False)
    assert (await world.send(marketing())).note == {"no_consent": 1}


async def test_unsubscribing_ends_marketing_at_once_and_twice_is_once(world: MailWorld) -> None:
    """R53: idempotent, and bills still go."""
    await world.open_account(owes=False)
    await world.consent()
    await world.clock.advance(60)
    for _ in range(2):
        await world.consent(given=False)
    assert (await world.send(marketing())).note == {"no_consent": 1}
    assert (await world.send(verification())).note == {"sent": 1}


async def test_an_address_suppressed_for_marketing_still_gets_bills(world: MailWorld) -> None:
    await world.open_account(owes=False)
    await world.consent()
    async with world.database.transaction() as connection:
        await suppressions.add(connection, Suppression("acme", ADA, "marketing", "operator", NOW))
    assert (await world.send(marketing())).note == {"suppressed": 1}
    assert (await world.send(verification())).note == {"sent": 1}
