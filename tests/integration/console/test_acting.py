"""Actions: only with the token, each written down before it begins, done as the command does."""

from pathlib import Path

import httpx
import pytest

from billfleet_db import Database, actions
from console_room import DLQ, ORIGIN, TOKEN, ConsoleRoom
from console_words import words
from replay_room import body_of, buried


async def logged(database: Database) -> list[actions.Action]:
    async with database.transaction() as connection:
        return await actions.latest(connection, 10)


async def finished(room: ConsoleRoom, answer: httpx.Response) -> str:
    """The path of the job that an answer leads to, when it is over."""
    assert answer.status_code == 303, answer.text
    path = answer.headers["location"]
    job = room.acting.find(path.rpartition("/")[2])
    assert job is not None
    await room.acting.ended(job)
    return path


async def test_a_message_is_replayed_and_who_did_it_is_written_down(
    room: ConsoleRoom, browser: httpx.AsyncClient, books: Database
) -> None:
    message_id = room.bury(buried(body_of("A-1")))
    room.bury(buried(body_of("A-2"), original_message_id="other"))
    await room.look()
    secret = await room.sign_in(browser)
    answer = await browser.post(
        f"/dead-letters/{DLQ}/{message_id}/replay", data={"form_secret": secret}
    )
    path = await finished(room, answer)
    assert [one.body for one in room.letters.copies("memory://test-rebill")] == [body_of_copy(room)]
    assert len(room.letters.copies(f"memory://{DLQ}")) == 1
    [action] = await logged(books)
    assert (action.operator, action.verb, action.target) == ("Ada", "replay", message_id)
    assert action.is_well
    assert action.answer is not None
    assert action.answer["sent"] == 1
    said = words(await browser.get(path))
    assert "1 sent, 1 taken out" in said
    assert "Ada" in words(await browser.get("/actions"))


def body_of_copy(room: ConsoleRoom) -> str:
    [copy] = room.letters.copies("memory://test-rebill")
    assert '"A-1"' in copy.body
    return copy.body


async def test_a_broken_message_is_mended_checked_and_sent_with_the_original_in_the_journal(
    room: ConsoleRoom, browser: httpx.AsyncClient, books: Database
) -> None:
    good = body_of("A-1")
    broken = good.replace("period_start", "period_begin")
    message_id = room.bury(buried(broken))
    await room.look()
    secret = await room.sign_in(browser)
    path = f"/dead-letters/{DLQ}/{message_id}"
    assert "unreadable" in words(await browser.get(path))
    checked = await browser.post(f"{path}/edit", data={"form_secret": secret, "body": broken})
    assert "It still breaks its contract" in words(checked)
    assert f"{path}/mend" not in checked.text
    refused = await browser.post(f"{path}/mend", data={"form_secret": secret, "body": broken})
    assert refused.status_code == 422
    checked = await browser.post(f"{path}/edit", data={"form_secret": secret, "body": good})
    assert "The body keeps its contract" in words(checked)
    assert 'class="added"' in checked.text
    answer = await browser.post(f"{path}/mend", data={"form_secret": secret, "body": good})
    await finished(room, answer)
    [copy] = room.letters.copies("memory://test-rebill")
    assert copy.body == good
    assert room.letters.copies(f"memory://{DLQ}") == []
    [action] = await logged(books)
    assert (action.verb, action.is_well) == ("edit and replay", True)
    assert action.asked["body_sent"] == good
    journal = next((room.session.home / "replay").glob("*.jsonl")).read_text()
    assert "period_begin" in journal


async def test_all_that_a_filter_means_is_planned_first_and_then_replayed(
    room: ConsoleRoom, browser: httpx.AsyncClient, books: Database
) -> None:
    for number in range(12):
        room.bury(buried(body_of(f"A-{number}"), original_message_id=f"o-{number}"))
    room.bury(buried(body_of("B-1", tenant="bolt"), original_message_id="b"))
    await room.look()
    plan = await finished(
        room, await browser.post(f"/dead-letters/{DLQ}/plan", data={"tenant": "acme"})
    )
    said = words(await browser.get(plan))
    assert "12 will-run" in said
    assert "1 not meant" in said
    assert await logged(books) == []
    assert len(room.letters.copies(f"memory://{DLQ}")) == 13
    secret = await room.sign_in(browser)
    answer = await browser.post(
        f"/dead-letters/{DLQ}/replay",
        data={"form_secret": secret, "tenant": "acme"},
    )
    await finished(room, answer)
    assert len(room.letters.copies("memory://test-rebill")) == 12
    assert len(room.letters.copies(f"memory://{DLQ}")) == 1
    [action] = await logged(books)
    assert action.asked["filter"] == {"tenant": "acme"}


@pytest.mark.parametrize("verb", ["replay", "mend", "edit"])
async def test_nobody_acts_without_the_token_or_with_a_foreign_form(
    room: ConsoleRoom, browser: httpx.AsyncClient, books: Database, verb: str
) -> None:
    message_id = room.bury(buried(body_of("A-1")))
    await room.look()
    path = f"/dead-letters/{DLQ}/{message_id}/{verb}"
    assert (await browser.post(path, data={"body": "x"})).status_code == 403
    await room.sign_in(browser)
    assert (await browser.post(path, data={"form_secret": "guessed"})).status_code == 403
    foreign = {"Origin": "http://evil.example"}
    assert (await browser.post(path, headers=foreign)).status_code == 403
    assert await logged(books) == []
    assert len(room.letters.copies(f"memory://{DLQ}")) == 1


async def test_the_cookie_is_strict_and_a_wrong_token_or_no_name_is_refused(
    room: ConsoleRoom, browser: httpx.AsyncClient
) -> None:
    wrong = await browser.post("/enter", data={"token": "guessed", "operator": "Ada"})
    assert wrong.status_code == 403
    nameless = await browser.post("/enter", data={"token": TOKEN, "operator": " "})
    assert "Say who you are" in words(nameless)
    answer = await browser.post("/enter", data={"token": TOKEN, "operator": "Ada"})
    cookie = answer.headers["set-cookie"].lower()
    assert "samesite=strict" in cookie
    assert "httponly" in cookie
    [session] = room.console.sessions._known.values()
    assert "Ada" in words(await browser.get("/"))
    left = await browser.post("/leave", data={"form_secret": session.form_secret})
    assert left.status_code == 303
    assert room.console.sessions._known == {}


async def test_a_read_only_console_acts_for_nobody(books: Database, tmp_path: Path) -> None:
    room = ConsoleRoom(books, tmp_path, token=None)
    message_id = room.bury(buried(body_of("A-1")))
    await room.look()
    async with room.browser() as browser:
        answer = await browser.post("/enter", data={"token": "", "operator": "Ada"})
        assert answer.status_code == 403
        said = words(await browser.get(f"/dead-letters/{DLQ}/{message_id}"))
        assert "This console only shows" in said


async def test_an_edit_of_a_message_that_is_no_longer_there_is_refused_and_written_down(
    room: ConsoleRoom, browser: httpx.AsyncClient, books: Database
) -> None:
    message_id = room.bury(buried(body_of("A-1")))
    await room.look()
    secret = await room.sign_in(browser)
    url = f"memory://{DLQ}"
    [taken] = await room.letters.receive(url, limit=1, wait_s=0, visibility_timeout_s=600)
    await room.letters.delete(url, [taken.receipt_handle])
    path = f"/dead-letters/{DLQ}/{message_id}/mend"
    answer = await browser.post(path, data={"form_secret": secret, "body": body_of("A-2")})
    said = words(await browser.get(await finished(room, answer)))
    assert f"No message {message_id} was found" in said
    [action] = await logged(books)
    assert action.is_well is False
    gone = await browser.get(f"/dead-letters/{DLQ}/{message_id}")
    assert gone.status_code == 404
    assert "Not in the latest look" in words(gone)


async def test_a_form_that_is_too_large_is_refused(
    room: ConsoleRoom, browser: httpx.AsyncClient
) -> None:
    await room.sign_in(browser)
    answer = await browser.post(
        "/leave",
        content=b"form_secret=" + b"x" * (4 * 1024 * 1024),
        headers={"Content-Type": "application/x-www-form-urlencoded", "Origin": ORIGIN},
    )
    assert answer.status_code == 413


async def test_an_edit_never_replaces_another_message_that_is_called_alike(
    room: ConsoleRoom, browser: httpx.AsyncClient
) -> None:
    message_id = room.bury(buried(body_of("A-1")))
    await room.look()
    secret = await room.sign_in(browser)
    url = f"memory://{DLQ}"
    [taken] = await room.letters.receive(url, limit=1, wait_s=0, visibility_timeout_s=600)
    await room.letters.delete(url, [taken.receipt_handle])
    room.bury(buried(body_of("B-1"), original_message_id=message_id))
    path = f"/dead-letters/{DLQ}/{message_id}/mend"
    answer = await browser.post(path, data={"form_secret": secret, "body": body_of("A-2")})
    said = words(await browser.get(await finished(room, answer)))
    assert "The message is not the one that was shown" in said
    assert room.letters.visible(url) == 1
    assert room.letters.copies("memory://test-rebill") == []
