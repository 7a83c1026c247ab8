"""Who may act: only the token's holder, only from our own page, only for hosts that are ours."""

from datetime import UTC, datetime, timedelta

import pytest
from starlette.datastructures import Headers

from billfleet_ops.console import security
from billfleet_ops.console.security import SESSION_LIFE, Sessions

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def test_only_the_token_begins_a_session_and_it_ends_in_time() -> None:
    sessions = Sessions("right")
    assert sessions.begin("wrong", "Ada", NOW) is None
    assert sessions.begin("ríght", "Ada", NOW) is None
    session = sessions.begin("right", "Ada", NOW)
    assert session is not None
    assert sessions.find(session.session_id, NOW + SESSION_LIFE) == session
    assert sessions.find(session.session_id, NOW + SESSION_LIFE + timedelta(seconds=1)) is None
    assert sessions.find(session.session_id, NOW) is None
    assert sessions.find(None, NOW) is None


def test_a_console_without_a_token_lets_nobody_in() -> None:
    sessions = Sessions(None)
    assert not sessions.acts
    assert sessions.begin("", "Ada", NOW) is None
    assert sessions.begin("None", "Ada", NOW) is None


def test_a_form_must_carry_the_secret_of_its_session() -> None:
    sessions = Sessions("right")
    one, other = (sessions.begin("right", name, NOW) for name in ("Ada", "Bob"))
    assert one is not None
    assert other is not None
    assert security.is_own_form(one, one.form_secret)
    assert not security.is_own_form(one, other.form_secret)
    assert not security.is_own_form(one, "")


@pytest.mark.parametrize(
    ("headers", "is_ours"),
    [
        ({"origin": "http://localhost:8808"}, True),
        ({"origin": "http://localhost"}, False),
        ({"origin": "https://localhost:8808"}, False),
        ({"origin": "http://evil.example"}, False),
        ({"origin": "null"}, False),
        ({"origin": "http://evil.example", "sec-fetch-site": "same-origin"}, False),
        ({"sec-fetch-site": "same-origin"}, True),
        ({"sec-fetch-site": "cross-site"}, False),
        ({"sec-fetch-site": "same-site"}, False),
        ({}, False),
    ],
)
def test_what_changes_something_must_come_from_our_own_page(
    headers: dict[str, str], is_ours: bool
) -> None:
    given = Headers({"host": "localhost:8808", **headers})
    assert security.is_same_origin(given, "http") is is_ours


@pytest.mark.parametrize(
    ("host", "is_ours"),
    [
        ("localhost:8808", True),
        ("LOCALHOST", True),
        ("[::1]:8808", True),
        ("evil.example", False),
        ("localhost.evil.example:8808", False),
        ("", False),
    ],
)
def test_only_hosts_that_are_ours_are_answered_for(host: str, is_ours: bool) -> None:
    assert (
        security.is_host_ours(Headers({"host": host}), frozenset({"localhost", "::1"})) is is_ours
    )
