"""The console in Chromium: readable by all, at any width, by keyboard, and alive."""

import os
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from browser_pages import opened, violations
from console_room import DLQ, TOKEN, ConsoleRoom
from replay_room import body_of, buried

SHOTS = os.environ.get("BILLFLEET_SHOTS")


async def pages_of(room: ConsoleRoom) -> dict[str, str]:
    """Every kind of page, with something on it."""
    broken = body_of("A-1").replace("period_start", "period_begin")
    message_id = room.bury(buried(broken))
    for number in range(3):
        room.bury(buried(body_of(f"A-{number}"), original_message_id=f"o-{number}"))
    await room.look()
    return {
        "overview": "/",
        "queue": "/queues/rebill",
        "dead-letters": "/dead-letters?tenant=acme",
        "dead-letter-queue": f"/dead-letters/{DLQ}",
        "message": f"/dead-letters/{DLQ}/{message_id}",
        "edit": f"/dead-letters/{DLQ}/{message_id}/edit",
        "accounts": "/accounts?q=Ada",
        "account": "/accounts/acme/A-1",
        "cards": "/cards",
        "life": f"/life?id={message_id}",
        "records": "/records/files",
        "actions": "/actions",
        "enter": "/enter",
        "problem": "/queues/none",
    }


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 1280])
async def test_every_page_fits_its_width_and_axe_finds_nothing(
    chromium: Browser, room: ConsoleRoom, address: str, width: int, scheme: str
) -> None:
    paths = await pages_of(room)
    async with opened(chromium, width=width, scheme=scheme) as page:
        await page.goto(f"{address}/enter?token={TOKEN}")
        await page.get_by_label("Your name").fill("Ada")
        await page.get_by_role("button", name="Begin").click()
        for name, path in paths.items():
            await page.goto(address + path)
            assert await violations(page) == [], name
            wide = await page.evaluate("document.documentElement.scrollWidth")
            assert wide <= width, f"{name} is {wide} wide"
            if SHOTS:
                shot = Path(SHOTS) / f"{name}-{scheme}-{width}.png"
                await page.screenshot(path=shot, full_page=True)


async def test_the_overview_changes_without_being_loaded_again(
    chromium: Browser, room: ConsoleRoom, address: str
) -> None:
    async with opened(chromium) as page:
        async with page.expect_response(lambda answer: "/live/overview" in answer.url):
            await page.goto(address)
        row = page.get_by_role("row").filter(
            has=page.get_by_role("link", name="rebill", exact=True)
        )
        await expect(row.get_by_role("link", name="1", exact=True)).to_have_count(0)
        room.bury(buried(body_of("A-1")))
        await room.watch.look()
        await expect(row.get_by_role("link", name="1", exact=True)).to_be_visible()


async def test_a_queue_is_looked_into_by_itself_when_its_page_is_opened(
    chromium: Browser, room: ConsoleRoom, address: str
) -> None:
    message_id = room.bury(buried(body_of("A-1")))
    await room.watch.look()
    async with opened(chromium) as page:
        await page.goto(f"{address}/dead-letters/{DLQ}")
        await expect(page.get_by_role("link", name=message_id)).to_be_visible()
    assert room.letters.visible(f"memory://{DLQ}") == 1


async def test_keys_reach_the_search_the_pages_and_the_rows(
    chromium: Browser, room: ConsoleRoom, address: str
) -> None:
    async with opened(chromium) as page:
        await page.goto(address)
        await page.keyboard.press("/")
        await expect(page.get_by_role("searchbox")).to_be_focused()
        await page.keyboard.type("gd")
        await expect(page.get_by_role("searchbox")).to_have_value("gd")
        await page.get_by_role("searchbox").blur()
        await page.keyboard.press("g")
        await page.keyboard.press("d")
        await expect(page).to_have_url(f"{address}/dead-letters")
        await page.keyboard.press("j")
        await page.keyboard.press("j")
        await expect(page.get_by_role("link", name="collect", exact=True)).to_be_focused()
        await page.keyboard.press("k")
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", level=1)).to_have_text(DLQ)


async def test_the_first_stop_of_the_tab_key_skips_to_the_content(
    chromium: Browser, room: ConsoleRoom, address: str
) -> None:
    async with opened(chromium) as page:
        await page.goto(address)
        await page.keyboard.press("Tab")
        await expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
        await page.keyboard.press("Enter")
        await expect(page.locator("main")).to_be_focused()
