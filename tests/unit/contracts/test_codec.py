"""The codec: what goes in comes out, and what is not a message is refused with its reason."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Any, ClassVar

import pytest

from billfleet_contracts import (
    AccountPeriod,
    Catalogue,
    CollectPayments,
    ContractError,
    Entry,
    Event,
    InvalidEvent,
    RebillAccounts,
    Route,
    UndecodableBody,
    UnknownType,
    UnknownVersion,
    Upcast,
    decode,
    encode,
    payload_hash,
    wrap,
)

NOW = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
REBILL = RebillAccounts(
    as_of=date(2026, 3, 2),
    accounts=(AccountPeriod(account_id="acc-1", period_start=date(2026, 2, 28)),),
)


def body_with(**changes: Any) -> str:
    content = json.loads(encode(wrap(REBILL, tenant="acme", source="/shop", now=NOW, id="e-1")))
    content |= changes
    return json.dumps({name: value for name, value in content.items() if value != "(absent)"})


def test_wrapped_event_says_who_what_when_and_for_whom() -> None:
    envelope = wrap(REBILL, tenant="acme", source="/shop", now=NOW, id="e-1")
    assert json.loads(encode(envelope)) == {
        "specversion": "1.0",
        "id": "e-1",
        "source": "/shop",
        "type": "billfleet.billing.rebill_accounts.v1",
        "time": "2026-03-02T09:30:00Z",
        "datacontenttype": "application/json",
        "dataschema": "urn:billfleet:schema:billfleet.billing.rebill_accounts.v1",
        "tenant": "acme",
        "dedupekey": REBILL.default_dedupe_key(),
        "data": {
            "as_of": "2026-03-02",
            "accounts": [{"account_id": "acc-1", "period_start": "2026-02-28", "generation": 0}],
        },
    }


def test_decoded_envelope_equals_the_one_that_was_encoded_as_text_or_bytes() -> None:
    envelope = wrap(REBILL, tenant="acme", source="/shop", now=NOW)
    assert decode(encode(envelope)) == envelope
    assert decode(encode(envelope).encode()) == envelope
    assert hash(decode(encode(envelope))) == hash(envelope)
    assert envelope != wrap(REBILL, tenant="beta", source="/shop", now=NOW, id=envelope.id)
    assert envelope != "an envelope"


def test_each_wrap_has_an_id_of_its_own_unless_one_is_given() -> None:
    first, second = (wrap(REBILL, tenant="acme", source="/shop", now=NOW) for _ in range(2))
    assert first.id != second.id
    assert first.dedupekey == second.dedupekey


def test_time_of_another_zone_is_carried_as_the_same_instant_in_utc() -> None:
    local = NOW.astimezone(timezone(timedelta(hours=-5)))
    envelope = wrap(REBILL, tenant="acme", source="/shop", now=local)
    assert envelope.time == NOW
    assert envelope.time.utcoffset() == timedelta(0)


@dataclass(frozen=True)
class Refused:
    body: str | bytes
    error: type[ContractError]
    where: str = "$"
    contract: str | None = "billfleet.billing.rebill_accounts.v1"


ACCOUNT = {"account_id": "acc-1", "period_start": "2026-02-28"}


def data_with(**changes: Any) -> str:
    account = ACCOUNT | changes
    return body_with(data={"as_of": "2026-03-02", "accounts": [account]})


GARBAGE = {
    "empty": Refused("", UndecodableBody, contract=None),
    "no JSON": Refused("hello", UndecodableBody, contract=None),
    "cut short": Refused(body_with()[:-5], UndecodableBody, contract=None),
    "no UTF-8": Refused(b'{"type":"\xff\xfe"}', UndecodableBody, contract=None),
    "lone surrogate": Refused("\ud800", UndecodableBody, contract=None),
    "array": Refused(f"[{body_with()}]", UndecodableBody, contract=None),
    "number": Refused("5", UndecodableBody, contract=None),
    "null": Refused("null", UndecodableBody, contract=None),
    "nested too deeply": Refused('{"a":' * 5000, UndecodableBody, contract=None),
    "integer of 5000 digits": Refused(
        body_with().replace('"generation": 0', f'"generation": {"9" * 5000}'),
        UndecodableBody,
        contract=None,
    ),
    "no type": Refused(body_with(type="(absent)"), InvalidEvent, "$.type", None),
    "type is a number": Refused(body_with(type=5), UnknownType, "$.type", None),
    "type of others": Refused(body_with(type="com.example.hi"), UnknownType, "$.type", None),
    "unknown name": Refused(
        body_with(type="billfleet.billing.refund.v1"),
        UnknownType,
        "$.type",
        "billfleet.billing.refund.v1",
    ),
    "unknown version": Refused(
        body_with(type="billfleet.billing.rebill_accounts.v9"),
        UnknownVersion,
        "$.type",
        "billfleet.billing.rebill_accounts.v9",
    ),
    "other specversion": Refused(body_with(specversion="0.3"), InvalidEvent, "$.specversion"),
    "no specversion": Refused(body_with(specversion="(absent)"), InvalidEvent, "$.specversion"),
    "no tenant": Refused(body_with(tenant="(absent)"), InvalidEvent, "$.tenant"),
    "tenant in capitals": Refused(body_with(tenant="ACME"), InvalidEvent, "$.tenant"),
    "tenant too long": Refused(body_with(tenant="a" * 64), InvalidEvent, "$.tenant"),
    "tenant with a newline": Refused(body_with(tenant="acme\n"), InvalidEvent, "$.tenant"),
    "empty id": Refused(body_with(id=""), InvalidEvent, "$.id"),
    "id too long": Refused(body_with(id="x" * 129), InvalidEvent, "$.id"),
    "no dedupe key": Refused(body_with(dedupekey="(absent)"), InvalidEvent, "$.dedupekey"),
    "no data": Refused(body_with(data="(absent)"), InvalidEvent, "$.data"),
    "time without offset": Refused(body_with(time="2026-03-02T09:30:00"), InvalidEvent, "$.time"),
    "time as a number": Refused(body_with(time=1772443800), InvalidEvent, "$.time"),
    "time as digits": Refused(body_with(time="1772443800"), InvalidEvent, "$.time"),
    "another schema": Refused(body_with(dataschema="urn:x"), InvalidEvent, "$.dataschema"),
    "another content type": Refused(
        body_with(datacontenttype="text/xml"), InvalidEvent, "$.datacontenttype"
    ),
    "malformed traceparent": Refused(body_with(traceparent="00-x"), InvalidEvent, "$.traceparent"),
    "binary data": Refused(body_with(data_base64="AA=="), InvalidEvent, "$.data_base64"),
    "extension in capitals": Refused(body_with(Region="eu"), InvalidEvent, "$.Region"),
    "extension with structure": Refused(body_with(region={"a": 1}), InvalidEvent, "$.region"),
    "unknown field": Refused(data_with(colour="red"), InvalidEvent, "$.data.accounts[0].colour"),
    "date as digits": Refused(
        data_with(period_start="1772443800"), InvalidEvent, "$.data.accounts[0].period_start"
    ),
    "date as a number": Refused(
        data_with(period_start=0), InvalidEvent, "$.data.accounts[0].period_start"
    ),
    "impossible date": Refused(
        data_with(period_start="2026-02-30"), InvalidEvent, "$.data.accounts[0].period_start"
    ),
    "integer as text": Refused(
        data_with(generation="1"), InvalidEvent, "$.data.accounts[0].generation"
    ),
    "integer as a fraction": Refused(
        data_with(generation=1.5), InvalidEvent, "$.data.accounts[0].generation"
    ),
    "integer as a boolean": Refused(
        data_with(generation=True), InvalidEvent, "$.data.accounts[0].generation"
    ),
    "not a number": Refused(
        data_with(generation=float("nan")), InvalidEvent, "$.data.accounts[0].generation"
    ),
    "huge integer": Refused(
        data_with(generation=10**30), InvalidEvent, "$.data.accounts[0].generation"
    ),
    "negative count": Refused(
        data_with(generation=-1), InvalidEvent, "$.data.accounts[0].generation"
    ),
    "account id with a space": Refused(
        data_with(account_id="a b"), InvalidEvent, "$.data.accounts[0].account_id"
    ),
    "no accounts": Refused(
        body_with(data={"as_of": "2026-03-02", "accounts": []}), InvalidEvent, "$.data.accounts"
    ),
    "101 accounts": Refused(
        body_with(data={"as_of": "2026-03-02", "accounts": [ACCOUNT] * 101}),
        InvalidEvent,
        "$.data.accounts",
    ),
}


@pytest.mark.parametrize("case", GARBAGE.values(), ids=GARBAGE.keys())
def test_garbage_is_refused_with_its_reason_its_place_and_its_contract(case: Refused) -> None:
    with pytest.raises(ContractError) as caught:
        decode(case.body)
    error = caught.value
    assert (type(error), error.where, error.contract) == (case.error, case.where, case.contract)
    assert error.reason in str(error)
    assert error.where in str(error)


def test_refusal_repeats_no_value_of_the_message() -> None:
    with pytest.raises(InvalidEvent) as caught:
        decode(data_with(account_id="secret name"))
    assert "secret" not in str(caught.value)


def test_one_hundred_accounts_are_accepted() -> None:
    envelope = decode(body_with(data={"as_of": "2026-03-02", "accounts": [ACCOUNT] * 100}))
    assert isinstance(envelope.data, RebillAccounts)
    assert len(envelope.data.accounts) == 100


def test_extensions_of_other_sdks_are_read_and_dropped() -> None:
    plain = decode(body_with())
    extended = decode(body_with(tracestate="a=b", partitionkey="7", sampledrate=3, x=None))
    assert extended == plain
    assert encode(extended) == encode(plain)


def test_attributes_that_cloudevents_lets_a_producer_omit_are_filled_in() -> None:
    assert decode(body_with(datacontenttype="(absent)", dataschema="(absent)")) == decode(
        body_with()
    )


def test_of_a_key_given_twice_the_last_one_counts() -> None:
    twice = body_with().replace('"tenant": "acme"', '"tenant": "beta", "tenant": "acme"')
    assert decode(twice).tenant == "acme"


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"tenant": "Not A Tenant"}, "$.tenant"),
        ({"source": ""}, "$.source"),
        ({"now": datetime(2026, 3, 2)}, "$.time"),  # noqa: DTZ001  # what must be refused
        ({"traceparent": "nonsense"}, "$.traceparent"),
        ({"dedupe_key": "with space"}, "$.dedupekey"),
        ({"dedupe_key": "x" * 129}, "$.dedupekey"),
    ],
)
def test_wrap_refuses_what_decode_would_refuse(changes: dict[str, Any], where: str) -> None:
    arguments: dict[str, Any] = {"tenant": "acme", "source": "/shop", "now": NOW, **changes}
    with pytest.raises(InvalidEvent) as caught:
        wrap(REBILL, **arguments)
    assert caught.value.where == where


def test_wrap_refuses_an_event_that_is_not_in_the_catalogue() -> None:
    class Stranger(Event):
        TYPE: ClassVar[str] = "billfleet.test.stranger.v1"

    with pytest.raises(UnknownType):
        wrap(Stranger(), tenant="acme", source="/shop", now=NOW)


class Stamped(Event):
    TYPE: ClassVar[str] = "billfleet.test.stamped.v3"

    card_id: str
    stamps: int


def upcasting_catalogue(
    last: Callable[[dict[str, object]], dict[str, object]] | None = None,
) -> Catalogue:
    def rename(data: dict[str, object]) -> dict[str, object]:
        return {"card_id": data["card"]}

    def count(data: dict[str, object]) -> dict[str, object]:
        return {**data, "stamps": 1}

    return Catalogue(
        [Entry(Stamped, Route("topic", "events"))],
        [
            Upcast("billfleet.test.stamped.v1", "billfleet.test.stamped.v2", rename),
            Upcast("billfleet.test.stamped.v2", Stamped.TYPE, last or count),
        ],
    )


def stamped_body(version: int, data: dict[str, Any]) -> str:
    event_type = f"billfleet.test.stamped.v{version}"
    urn = f"urn:billfleet:schema:{event_type}"
    return body_with(type=event_type, dataschema=urn, data=data, tracestate="a=b")


def test_old_version_is_upcast_step_by_step_to_the_current_one() -> None:
    catalogue = upcasting_catalogue()
    oldest = decode(stamped_body(1, {"card": "c-1"}), catalogue)
    older = decode(stamped_body(2, {"card_id": "c-1"}), catalogue)
    current = decode(stamped_body(3, {"card_id": "c-1", "stamps": 1}), catalogue)
    assert oldest == older == current
    assert oldest.type == Stamped.TYPE
    assert oldest.dataschema.endswith(".v3")
    assert payload_hash(oldest) == payload_hash(current)
    assert decode(encode(oldest), catalogue) == oldest


def test_old_version_with_broken_envelope_is_refused_before_upcasting() -> None:
    body = stamped_body(1, {"card": "c-1"}).replace('"acme"', '"ACME"')
    with pytest.raises(InvalidEvent) as caught:
        decode(body, upcasting_catalogue())
    assert caught.value.where == "$.tenant"


def test_upcast_that_makes_no_valid_event_is_poison_and_says_where() -> None:
    catalogue = upcasting_catalogue(last=lambda data: {**data, "stamps": "one"})
    with pytest.raises(InvalidEvent) as caught:
        decode(stamped_body(1, {"card": "c-1"}), catalogue)
    assert caught.value.where == "$.data.stamps"


def test_upcast_that_finds_old_data_incomplete_is_poison_and_names_the_old_version() -> None:
    with pytest.raises(InvalidEvent) as caught:
        decode(stamped_body(1, {"no": "card"}), upcasting_catalogue())
    assert caught.value.where == "$.data"
    assert caught.value.contract == "billfleet.test.stamped.v1"


def test_old_version_is_read_but_no_longer_wrapped() -> None:
    class StampedV1(Event):
        TYPE: ClassVar[str] = "billfleet.test.stamped.v1"

    with pytest.raises(UnknownVersion):
        wrap(StampedV1(), tenant="a", source="/s", now=NOW, catalogue=upcasting_catalogue())


def test_version_beyond_the_chain_is_an_unknown_version() -> None:
    with pytest.raises(UnknownVersion):
        decode(stamped_body(4, {}), upcasting_catalogue())


def test_payload_hash_covers_type_tenant_and_data_and_nothing_else() -> None:
    base = wrap(REBILL, tenant="acme", source="/shop", now=NOW)
    elsewhere = wrap(
        REBILL, tenant="acme", source="/x", now=NOW + timedelta(days=1), dedupe_key="k"
    )
    assert payload_hash(base) == payload_hash(elsewhere)
    later = REBILL.model_copy(update={"as_of": date(2026, 3, 3)})
    for other in (
        wrap(REBILL, tenant="beta", source="/shop", now=NOW),
        wrap(later, tenant="acme", source="/shop", now=NOW),
    ):
        assert payload_hash(other) != payload_hash(base)


def test_payload_hash_tells_types_with_equal_data_apart() -> None:
    class Opened(Event):
        TYPE: ClassVar[str] = "billfleet.test.opened.v1"

    class Closed(Event):
        TYPE: ClassVar[str] = "billfleet.test.closed.v1"

    catalogue = Catalogue([Entry(event, Route("topic", "events")) for event in (Opened, Closed)])
    hashes = {
        payload_hash(wrap(event, tenant="a", source="/s", now=NOW, catalogue=catalogue))
        for event in (Opened(), Closed())
    }
    assert len(hashes) == 2


def test_field_added_with_a_default_changes_no_hash_and_no_key() -> None:
    class Before(Event):
        TYPE: ClassVar[str] = "billfleet.test.grown.v1"
        card: str

    class After(Event):
        TYPE: ClassVar[str] = "billfleet.test.grown.v1"
        shop: str = "main"
        card: str

    before, after = (
        wrap(
            event,
            tenant="a",
            source="/s",
            now=NOW,
            catalogue=Catalogue([Entry(type(event), Route("topic", "events"))]),
        )
        for event in (Before(card="c"), After(card="c"))
    )
    assert payload_hash(before) == payload_hash(after)
    assert before.dedupekey == after.dedupekey


def test_envelope_carries_the_subject_and_the_given_key_and_trace() -> None:
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    envelope = wrap(
        REBILL, tenant="acme", source="/shop", now=NOW, dedupe_key="mine", traceparent=trace
    )
    assert (envelope.subject, envelope.dedupekey, envelope.traceparent) == (None, "mine", trace)
    assert decode(encode(envelope)) == envelope


def test_collect_and_rebill_do_not_read_each_other() -> None:
    with pytest.raises(InvalidEvent):
        decode(body_with(type=CollectPayments.TYPE, dataschema="(absent)"))
