"""Event models: closed, frozen, strict, and sure of what makes two of them the same work."""

import json
from datetime import UTC, date, datetime
from typing import Any, ClassVar, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, ValidationError

from billfleet_contracts import (
    CATALOGUE,
    AccountPeriod,
    AccountRebilled,
    ChargeRef,
    CollectPayments,
    Envelope,
    Event,
    EventTracked,
    PaymentFailed,
    PaymentReported,
    PaymentSucceeded,
    RebillAccounts,
    decode,
    encode,
    payload_hash,
    wrap,
)
from billfleet_contracts.event import canonical_json

DAY = date(2026, 2, 28)

REBILLED: dict[str, Any] = {
    "account_id": "acc-1",
    "period_start": date(2026, 1, 31),
    "period_end": date(2026, 2, 27),
    "amount_minor": 2990,
    "currency": "USD",
    "next_period_on": DAY,
    "transfer_id": 4,
}
REPORTED: dict[str, Any] = {
    "gateway": "stripe",
    "gateway_event_id": "evt_1",
    "attempt_key": "k",
    "result": "succeeded",
    "occurred_at": datetime(2026, 1, 1, tzinfo=UTC),
}


def test_same_work_has_the_same_key_and_other_work_another() -> None:
    def rebill(day: date, generation: int = 0) -> str:
        period = AccountPeriod(account_id="a", period_start=day, generation=generation)
        return RebillAccounts(as_of=DAY, accounts=(period,)).default_dedupe_key()

    assert rebill(DAY) == rebill(DAY)
    assert len({rebill(DAY), rebill(date(2026, 3, 28)), rebill(DAY, 1)}) == 3
    assert rebill(DAY).startswith("rebill_accounts:")
    assert len(rebill(DAY)) == len("rebill_accounts:") + 32


def test_second_check_of_an_attempt_is_other_work_than_the_first() -> None:
    keys = {
        CollectPayments(
            charges=(ChargeRef(account_id="a", period_start=DAY, attempt_no=1, check_no=check),)
        ).default_dedupe_key()
        for check in (0, 1)
    }
    assert len(keys) == 2


def test_facts_have_natural_keys_and_their_account_as_subject() -> None:
    rebilled = AccountRebilled(**REBILLED)
    paid = PaymentSucceeded(
        account_id="acc-1",
        period_start=DAY,
        attempt_no=1,
        amount_minor=1,
        currency="USD",
        gateway="log",
        transfer_id=9,
    )
    failed = PaymentFailed(
        account_id="acc-1",
        period_start=DAY,
        attempt_no=2,
        amount_minor=1,
        currency="USD",
        gateway="log",
        decline_code="lost_card",
        decline_kind="hard",
        account_state="PAST_DUE",
    )
    assert rebilled.default_dedupe_key() == "rebilled:acc-1:2026-01-31"
    assert paid.default_dedupe_key() == "payment_succeeded:acc-1:9"
    assert failed.default_dedupe_key() == "payment_failed:acc-1:2026-02-28:2"
    assert {event.subject() for event in (rebilled, paid, failed)} == {"acc-1"}


def test_gateway_event_is_the_same_however_often_its_webhook_calls() -> None:
    """R30."""
    first = PaymentReported(**REPORTED)
    again = PaymentReported(**REPORTED | {"occurred_at": datetime(2026, 1, 2, tzinfo=UTC)})
    other = PaymentReported(**REPORTED | {"gateway_event_id": "evt_2"})
    elsewhere = PaymentReported(**REPORTED | {"gateway": "log"})
    assert first.default_dedupe_key() == again.default_dedupe_key()
    assert len({e.default_dedupe_key() for e in (first, other, elsewhere)}) == 3


@pytest.mark.parametrize(
    "changes",
    [
        {"amount_minor": -1},
        {"amount_minor": 29.9},
        {"amount_minor": 2**53},
        {"currency": "usd"},
        {"currency": "USDT"},
        {"account_id": "-leading"},
        {"account_id": "a" * 65},
        {"account_id": ""},
        {"transfer_id": 0},
        {"period_end": date(2026, 1, 30)},
        {"next_period_on": date(2026, 2, 27)},
        {"period_start": datetime(2026, 1, 31, tzinfo=UTC)},
        {"colour": "red"},
    ],
)
def test_event_out_of_its_bounds_is_refused(changes: dict[str, Any]) -> None:
    """R14."""
    AccountRebilled(**REBILLED)
    with pytest.raises(ValidationError):
        AccountRebilled(**REBILLED | changes)


def test_naive_time_is_refused() -> None:
    with pytest.raises(ValidationError):
        PaymentReported(**REPORTED | {"occurred_at": datetime(2026, 1, 1)})  # noqa: DTZ001


def test_events_and_their_parts_and_envelopes_are_frozen() -> None:
    event = AccountRebilled(**REBILLED)
    period = AccountPeriod(account_id="a", period_start=DAY)
    charge = ChargeRef(account_id="a", period_start=DAY, attempt_no=1)
    envelope = wrap(event, tenant="a", source="/s", now=datetime(2026, 1, 1, tzinfo=UTC))
    for frozen, field in (
        (event, "amount_minor"),
        (period, "generation"),
        (charge, "attempt_no"),
        (envelope, "tenant"),
    ):
        with pytest.raises(ValidationError):
            setattr(frozen, field, 1)


ACCOUNT_IDS = st.from_regex(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,63}", fullmatch=True)
DAYS = st.dates(min_value=date(1970, 1, 1), max_value=date(2999, 12, 31))
PERIODS = st.builds(
    AccountPeriod, account_id=ACCOUNT_IDS, period_start=DAYS, generation=st.integers(0, 10**6)
)
CHARGES = st.builds(
    ChargeRef,
    account_id=ACCOUNT_IDS,
    period_start=DAYS,
    attempt_no=st.integers(1, 10**6),
    check_no=st.integers(0, 10**6),
)
REFERENCES = st.text(
    st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=255
)
INSTANTS = st.datetimes(
    min_value=datetime(1970, 1, 1),  # noqa: DTZ001  # the strategy adds the zone
    max_value=datetime(2999, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)
EVENTS: st.SearchStrategy[Event] = st.one_of(
    st.builds(
        RebillAccounts,
        as_of=DAYS,
        accounts=st.lists(PERIODS, min_size=1, max_size=5).map(tuple),
    ),
    st.builds(CollectPayments, charges=st.lists(CHARGES, min_size=1, max_size=5).map(tuple)),
    st.builds(
        PaymentReported,
        gateway=st.sampled_from(["log", "stripe"]),
        gateway_event_id=REFERENCES,
        attempt_key=REFERENCES,
        result=st.sampled_from(["succeeded", "declined"]),
        gateway_reference=st.none() | REFERENCES,
        decline_code=st.none() | st.just("lost_card"),
        occurred_at=INSTANTS,
    ),
    st.builds(
        PaymentSucceeded,
        account_id=ACCOUNT_IDS,
        period_start=DAYS,
        attempt_no=st.integers(1, 10**6),
        amount_minor=st.integers(0, 2**53 - 1),
        currency=st.sampled_from(["USD", "JPY", "KWD"]),
        gateway=st.just("log"),
        gateway_reference=st.none() | REFERENCES,
        transfer_id=st.integers(1, 2**53 - 1),
    ),
)


@given(
    event=EVENTS,
    tenant=st.from_regex(r"[a-z0-9][a-z0-9-]{0,62}", fullmatch=True),
    source=REFERENCES,
    now=INSTANTS,
    dedupe_key=st.none() | REFERENCES.map(lambda text: text[:128]),
)
def test_any_event_survives_the_wire(
    event: Event, tenant: str, source: str, now: datetime, dedupe_key: str | None
) -> None:
    envelope = wrap(event, tenant=tenant, source=source, now=now, dedupe_key=dedupe_key)
    read = decode(encode(envelope).encode())
    assert read == envelope
    assert type(read.data) is type(event)
    assert payload_hash(read) == payload_hash(envelope)
    assert encode(read) == encode(envelope)
    assert len(envelope.dedupekey) <= 128


def test_every_event_of_the_catalogue_is_closed_and_frozen() -> None:
    for entry in CATALOGUE.values():
        assert entry.event.model_config["extra"] == "forbid"
        assert entry.event.model_config["frozen"]
        assert entry.event.model_config["strict"]
    assert Envelope.model_config["extra"] == "forbid"


JSON_VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters()),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@given(JSON_VALUES)
def test_digests_are_over_the_standard_librarys_spelling_whoever_writes_it(value: object) -> None:
    try:
        expected = json.dumps(
            value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
        ).encode()
    except UnicodeEncodeError:
        return
    assert canonical_json(value) == expected


class _Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")

    amount: int | None = None
    days: tuple[date, ...] = ()


class _Plain(Event):
    TYPE: ClassVar[str] = "billfleet.test.plain.v1"
    kind: Literal["a", "b"]
    inner: _Inner
    others: dict[str, list[_Inner | bool]]


class _Fraction(_Plain):
    share: list[float | None]


class _Anything(_Plain):
    extra: dict[str, Any]


class _AnyItems(_Plain):
    items: list[Any]


class _Open(_Plain):
    model_config = ConfigDict(extra="allow")


def test_a_class_is_plain_only_where_no_float_can_occur_in_its_data() -> None:
    assert _Plain.is_plain()
    assert RebillAccounts.is_plain()
    for event in (_Fraction, _Anything, _AnyItems, _Open, EventTracked):
        assert not event.is_plain(), event
