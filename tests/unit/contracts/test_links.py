"""Links prove who made them, for whom, for what and until when."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billfleet_contracts import Link, LinkExpired, LinkForged, LinkKind, make_link, read_link

BASE = "https://billing.example.com"
SECRET = "a secret of some length"
OTHER = "another secret of some length"
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
LATER = NOW + timedelta(days=30)


def token(*secrets: str, kind: LinkKind = "file", expires_at: datetime = LATER) -> str:
    url = make_link(
        BASE, secrets or [SECRET], kind=kind, tenant="acme", subject="4f0c", expires_at=expires_at
    )
    return url.rpartition("/")[2]


def test_a_link_says_what_it_was_made_for() -> None:
    """R84."""
    assert read_link(token(), [SECRET], NOW) == Link("file", "acme", "4f0c", LATER)


def test_the_kind_decides_the_path_and_the_base_may_end_in_a_slash() -> None:
    steps: dict[LinkKind, str] = {"file": "f", "unsubscribe": "u"}
    for kind, step in steps.items():
        url = make_link(
            BASE + "/", [SECRET], kind=kind, tenant="acme", subject="x", expires_at=LATER
        )
        assert url.startswith(f"{BASE}/{step}/")


def test_the_same_link_is_spelled_the_same_each_time() -> None:
    """R83: a mail that is sent again holds the same address."""
    berlin = timezone(timedelta(hours=1))
    assert token() == token(expires_at=LATER.astimezone(berlin))


def test_a_link_is_over_at_its_instant_and_still_names_what_it_was() -> None:
    """R85."""
    read_link(token(), [SECRET], LATER - timedelta(seconds=1))
    with pytest.raises(LinkExpired) as expired:
        read_link(token(), [SECRET], LATER)
    assert expired.value.link.subject == "4f0c"


def test_a_replaced_secret_still_opens_old_links_until_it_leaves_the_list() -> None:
    old = token(OTHER)
    assert read_link(old, [SECRET, OTHER], NOW).tenant == "acme"
    with pytest.raises(LinkForged):
        read_link(old, [SECRET], NOW)


def test_the_first_secret_signs() -> None:
    assert read_link(token(SECRET, OTHER), [SECRET], NOW).tenant == "acme"


def test_a_link_for_something_else_does_not_open_a_file() -> None:
    with pytest.raises(LinkForged):
        read_link(token(kind="unsubscribe"), [SECRET], NOW, kind="file")


def test_a_forged_link_that_is_also_too_old_is_forged() -> None:
    with pytest.raises(LinkForged):
        read_link(token(OTHER), [SECRET], LATER + timedelta(days=1))


@given(st.data())
def test_no_single_change_of_a_token_is_accepted(data: st.DataObject) -> None:
    good = token()
    at = data.draw(st.integers(0, len(good) - 1))
    char = data.draw(st.sampled_from("ABCabc019-_.=é "))
    changed = good[:at] + char + good[at + 1 :]
    if changed != good:
        with pytest.raises(LinkForged):
            read_link(changed, [SECRET], NOW)


@given(st.text(max_size=60))
def test_any_text_is_refused_and_never_breaks(text: str) -> None:
    with pytest.raises(LinkForged):
        read_link(text, [SECRET], NOW)


@pytest.mark.parametrize("secrets", [[], ["short"], [SECRET, "short"]])
def test_links_need_secrets_that_cannot_be_guessed(secrets: list[str]) -> None:
    with pytest.raises(ValueError, match="16 characters"):
        make_link(BASE, secrets, kind="file", tenant="acme", subject="x", expires_at=LATER)
    with pytest.raises(ValueError, match="16 characters"):
        read_link("x.y", secrets, NOW)


def test_a_time_without_a_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        make_link(
            BASE,
            [SECRET],
            kind="file",
            tenant="acme",
            subject="x",
            expires_at=LATER.replace(tzinfo=None),
        )
