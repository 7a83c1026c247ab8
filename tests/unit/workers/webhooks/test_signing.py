"""What is told and how it is signed, as the Standard Webhooks specification says."""

import base64
import hashlib
import hmac
import json
from datetime import UTC, datetime

import pytest

from billfleet_contracts import AvatarRefused, wrap
from billfleet_workers.handlers.webhooks.schedule import (
    GIVEN_UP_AFTER,
    TRIES_MAX,
    WAITS_S,
    is_given_up,
    wait_s,
)
from billfleet_workers.handlers.webhooks.signing import body_of, headers_of

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
OLD = "whsec_" + base64.b64encode(b"o" * 32).decode()
NEW = "whsec_" + base64.b64encode(b"n" * 32).decode()


def test_signature_is_the_specifications_own_example() -> None:
    """The example of the specification's reference libraries."""
    headers = headers_of(
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        b'{"test": 2432232314}',
        ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
        datetime.fromtimestamp(1614265330, UTC),
    )
    assert headers["webhook-timestamp"] == "1614265330"
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_every_valid_secret_signs_so_that_one_can_be_replaced_in_flight() -> None:
    said = headers_of("e-1", b"{}", [NEW, OLD], NOW)["webhook-signature"].split(" ")
    for secret, signature in zip((NEW, OLD), said, strict=True):
        key = base64.b64decode(secret.removeprefix("whsec_"))
        digest = hmac.new(key, f"e-1.{int(NOW.timestamp())}.{{}}".encode(), hashlib.sha256)
        assert signature == "v1," + base64.b64encode(digest.digest()).decode()


def test_body_says_type_time_and_data() -> None:
    fact = AvatarRefused(customer_id="c1", upload_id="u1", reason="not_a_picture")
    envelope = wrap(fact, tenant="acme", source="/s", now=NOW, id="e-1")
    told = json.loads(body_of(envelope))
    assert told == {
        "type": "billfleet.avatars.avatar_refused.v1",
        "timestamp": "2026-03-01T12:00:00Z",
        "id": "e-1",
        "tenant": "acme",
        "subject": "c1",
        "data": {"customer_id": "c1", "upload_id": "u1", "reason": "not_a_picture"},
    }


def test_waits_grow_for_more_than_a_day_and_end() -> None:
    assert [wait_s(tries, 0.0) for tries in range(1, TRIES_MAX)] == list(WAITS_S)
    assert wait_s(1, 1.0) == pytest.approx(4.0)
    assert wait_s(TRIES_MAX, 0.0) is None
    assert 24 * 3600 < sum(WAITS_S) < 14 * 24 * 3600
    assert max(WAITS_S) <= 12 * 3600


def test_endpoint_is_given_up_after_days_without_a_break() -> None:
    assert not is_given_up(NOW, NOW + GIVEN_UP_AFTER / 2)
    assert is_given_up(NOW, NOW + GIVEN_UP_AFTER)
