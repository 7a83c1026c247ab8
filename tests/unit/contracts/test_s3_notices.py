"""What S3 writes becomes an event of the catalogue, or is refused with its place."""

import json
from typing import Any

import pytest

from billfleet_contracts import ContractError, ObjectStored, decoder_of

decode_s3 = decoder_of("s3")


def notice(key: str = "avatars/acme/c1/u1", records: int = 1, **changes: Any) -> str:
    record = {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "eventTime": "2026-03-02T09:30:00.000Z",
        "eventName": "ObjectCreated:Put",
        "s3": {
            "bucket": {"name": "shop-uploads", "arn": "arn:aws:s3:::shop-uploads"},
            "object": {"key": key, "size": 1024, "eTag": "d41d8cd9", "sequencer": "00"},
        },
    }
    return json.dumps({"Records": [record | changes] * records})


def test_notice_becomes_an_event_of_the_tenant_in_its_key() -> None:
    envelope = decode_s3(notice())
    stored = envelope.data
    assert isinstance(stored, ObjectStored)
    assert (envelope.tenant, stored.key, stored.bytes_count) == ("acme", "avatars/acme/c1/u1", 1024)
    assert envelope.source == "/aws/s3/shop-uploads"


def test_notice_that_comes_twice_is_the_same_work() -> None:
    one, two = decode_s3(notice()), decode_s3(notice())
    assert (one.id, one.dedupekey) == (two.id, two.dedupekey)
    other = decode_s3(notice(key="avatars/acme/c1/u2"))
    assert other.dedupekey != one.dedupekey


def test_key_is_read_as_s3_spells_it() -> None:
    stored = decode_s3(notice(key="avatars/acme/c1/a+b%28c%29")).data
    assert isinstance(stored, ObjectStored)
    assert stored.key == "avatars/acme/c1/a b(c)"


def test_test_notice_of_a_new_notification_is_no_poison() -> None:
    body = {
        "Service": "Amazon S3",
        "Event": "s3:TestEvent",
        "Time": "2026-03-02T09:30:00.000Z",
        "Bucket": "shop-uploads",
        "RequestId": "5582815E1AEA5ADF",
    }
    stored = decode_s3(json.dumps(body)).data
    assert isinstance(stored, ObjectStored)
    assert stored.notice == "test"


@pytest.mark.parametrize(
    "body",
    [
        "",
        "[]",
        "nonsense",
        "{}",
        '{"Records": []}',
        notice(records=2),
        notice(key="picture.jpg"),
        notice(key="avatars/UPPER/c1/u1"),
        notice(eventTime="yesterday"),
        notice(s3={"bucket": {"name": "shop-uploads"}}),
    ],
)
def test_other_bodies_are_refused(body: str) -> None:
    with pytest.raises(ContractError):
        decode_s3(body)
