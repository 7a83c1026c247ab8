"""Credentials on an event loop: botocore's own, asked in a thread when asking may take long."""

import asyncio
import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.credentials import Credentials, RefreshableCredentials
from botocore.exceptions import CredentialRetrievalError

from billfleet_producers.lean.credentials import ThreadedCredentials

START = datetime(2026, 1, 31, 12, tzinfo=UTC)


class Source:
    """Where credentials come from: each time another key, for an hour, from a thread."""

    def __init__(self) -> None:
        self.now = START
        self.threads: list[threading.Thread] = []
        self.may_answer = threading.Event()
        self.may_answer.set()
        self.asked = threading.Event()
        self.error: Exception | None = None

    def fetch(self) -> dict[str, str]:
        self.threads.append(threading.current_thread())
        self.asked.set()
        assert self.may_answer.wait(10)
        if self.error:
            raise self.error
        return {
            "access_key": f"AKID{len(self.threads)}",
            "secret_key": "secret",
            "token": "token",
            "expiry_time": (self.now + timedelta(hours=1)).isoformat(),
        }

    def credentials(self) -> RefreshableCredentials:
        return RefreshableCredentials.create_from_metadata(
            self.fetch(), refresh_using=self.fetch, method="test"
        )


class Session:
    def __init__(self, found: Any) -> None:
        self._found = found
        self.thread: threading.Thread | None = None

    def get_credentials(self) -> Any:
        self.thread = threading.current_thread()
        return self._found


@pytest.fixture
def source() -> Source:
    return Source()


async def expiring(source: Source, *, in_minutes: int) -> ThreadedCredentials:
    found: Any = source.credentials()
    found._time_fetcher = lambda: source.now  # botocore gives it no other way in
    source.now = START + timedelta(minutes=60 - in_minutes)
    threaded = await ThreadedCredentials.find(Session(found))
    assert threaded is not None
    return threaded


async def key_of(credentials: ThreadedCredentials) -> str | None:
    return (await credentials.get_frozen_credentials()).access_key


async def test_they_are_looked_for_in_a_thread_since_that_may_ask_the_network() -> None:
    session = Session(Credentials("AKID", "secret"))
    found = await ThreadedCredentials.find(session)
    assert found is not None
    assert await key_of(found) == "AKID"
    assert session.thread is not threading.current_thread()


async def test_where_there_are_none_none_are_found() -> None:
    assert await ThreadedCredentials.find(Session(None)) is None


async def test_those_that_hold_are_given_without_asking(source: Source) -> None:
    credentials = await expiring(source, in_minutes=30)
    assert await key_of(credentials) == "AKID1"
    assert len(source.threads) == 1


@pytest.mark.parametrize("in_minutes", [12, 5, -1])
async def test_those_that_end_soon_are_renewed_in_a_thread(source: Source, in_minutes: int) -> None:
    credentials = await expiring(source, in_minutes=in_minutes)
    assert await key_of(credentials) == "AKID2"
    assert source.threads[1] is not threading.current_thread()


async def test_while_one_call_renews_them_others_go_on_with_the_old(source: Source) -> None:
    credentials = await expiring(source, in_minutes=12)
    source.may_answer.clear()
    source.asked.clear()
    renewing = asyncio.create_task(key_of(credentials))
    assert await asyncio.to_thread(source.asked.wait, 10)
    assert await key_of(credentials) == "AKID1"
    source.may_answer.set()
    assert await renewing == "AKID2"
    assert len(source.threads) == 2


async def test_source_that_is_away_stops_nobody_while_they_hold(source: Source) -> None:
    credentials = await expiring(source, in_minutes=12)
    source.error = CredentialRetrievalError(provider="test", error_msg="away")
    assert await key_of(credentials) == "AKID1"


async def test_source_that_is_away_when_they_have_ended_is_an_error(source: Source) -> None:
    credentials = await expiring(source, in_minutes=-1)
    source.error = CredentialRetrievalError(provider="test", error_msg="away")
    with pytest.raises(CredentialRetrievalError, match="away"):
        await key_of(credentials)
