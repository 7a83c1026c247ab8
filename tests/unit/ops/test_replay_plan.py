"""Verdicts, filters, addresses and copies: all of it pure."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from billfleet_contracts import (
    CATALOGUE,
    Catalogue,
    Entry,
    Pointer,
    RebillAccounts,
    Upcast,
    decode,
    payload_hash,
)
from billfleet_ops.console.rendering import laid_out
from billfleet_ops.errors import UsageWrong
from billfleet_ops.replay.addressing import Address, AddressBook
from billfleet_ops.replay.editing import difference, for_reading, objection, packed
from billfleet_ops.replay.filters import Filter, parse_conditions, parse_duration
from billfleet_ops.replay.lines import line_of, parse_line
from billfleet_ops.replay.options import build_rules
from billfleet_ops.replay.plan import (
    Forcing,
    Known,
    Rules,
    Verdict,
    copy_of,
    deduplication_id,
    in_order,
    judge,
)
from billfleet_ops.replay.reading import RECEIVED_TOO_OFTEN, Reading, read
from billfleet_workers.runtime.ports.dead_letters import Attribute, Copy, DeadMessage
from billfleet_workers.runtime.ports.dedupe import Record
from replay_room import START, body_of, buried

HOME = Address("memory://q", "q", is_fifo=False, fleet_name="rebill")
FOREIGN = Address("memory://f", "f", is_fifo=False)
FIFO = Address("memory://q.fifo", "q.fifo", is_fifo=True)


def message(copy: Copy, *, message_id: str = "m-1", source_arn: str | None = None) -> DeadMessage:
    return DeadMessage(
        message_id, "handle", copy.body, 3, START, copy.group_id, source_arn, copy.attributes
    )


def reading(copy: Copy | None = None, **more: str) -> Reading:
    return read(message(copy or buried(body_of()), **more))


def record(
    body: str, *, done: bool = False, lease_s: float = 60, other_hash: bool = False
) -> Record:
    return Record(
        key="acme#rebill#A-1",
        state="done" if done else "claimed",
        payload_hash="other" if other_hash else payload_hash(decode(body)),
        token="t",
        lease_until=None if done else START + timedelta(seconds=lease_s),
        completed_at=START if done else None,
        expires_at=START + timedelta(days=14),
        note="billed=1" if done else "",
    )


@pytest.mark.parametrize(
    ("seen", "verdict"),
    [
        (None, Verdict.WILL_RUN),
        (record(body_of(), done=True), Verdict.WILL_SKIP),
        (record(body_of()), Verdict.IN_PROGRESS),
        (record(body_of(), lease_s=-1), Verdict.WILL_RUN),
        (record(body_of(), done=True, other_hash=True), Verdict.CONFLICT),
        (record(body_of(), lease_s=-1, other_hash=True), Verdict.CONFLICT),
    ],
)
def test_verdict_follows_the_dedupe_record_as_a_claim_would(
    seen: Record | None, verdict: Verdict
) -> None:
    assert judge(reading(), Known(HOME, seen), Rules(), START).verdict is verdict


def test_what_breaks_its_contract_stays_unless_it_is_sent_all_the_same() -> None:
    broken = reading(buried("{}"))
    assert judge(broken, Known(HOME), Rules(), START).verdict is Verdict.UNREADABLE
    allowed = Rules(sends_unreadable=True)
    assert judge(broken, Known(HOME), allowed, START).verdict is Verdict.WILL_SEND
    assert judge(broken, Known(FOREIGN), Rules(), START).verdict is Verdict.WILL_SEND


def test_without_an_address_it_stays() -> None:
    assert judge(reading(), Known(None), Rules(), START).verdict is Verdict.NO_ADDRESS


def test_interrupted_sending_is_repeated_only_where_dedupe_makes_that_harmless() -> None:
    cut = Known(HOME, journal_step="sending")
    assert judge(reading(), cut, Rules(), START).verdict is Verdict.WILL_RUN
    cut = Known(FOREIGN, journal_step="sending")
    assert judge(reading(), cut, Rules(), START).verdict is Verdict.UNCERTAIN
    allowed = Rules(resend_uncertain=True)
    assert judge(reading(), cut, allowed, START).verdict is Verdict.WILL_SEND


def test_what_was_sent_is_only_taken_out_whatever_else_holds() -> None:
    known = Known(None, record(body_of(), done=True), journal_step="sent", came_back=True)
    assert judge(reading(), known, Rules(), START).verdict is Verdict.ALREADY_SENT


def test_done_work_is_forced_only_with_its_key_and_its_moment() -> None:
    known = Known(HOME, record(body_of(), done=True))
    right = Forcing("acme#rebill#A-1", START)
    plan = judge(reading(), known, Rules(right), START)
    assert (plan.verdict, plan.is_forced) == (Verdict.WILL_RUN, True)
    for wrong in (
        Forcing("acme#rebill#A-2", START),
        Forcing("acme#rebill#A-1", START + timedelta(milliseconds=1)),
    ):
        plan = judge(reading(), known, Rules(wrong), START)
        assert (plan.verdict, plan.is_forced) == (Verdict.WILL_SKIP, False)


def test_forcing_without_its_condition_is_a_usage_error() -> None:
    def rules(key: str | None, moment: str | None) -> Rules:
        return build_rules(key, moment, resend_uncertain=False, sends_unreadable=False)

    for key, moment in (("k", None), (None, START.isoformat()), ("k", "2026-03-01T12:00")):
        with pytest.raises(UsageWrong):
            rules(key, moment)
    assert rules("k", START.isoformat()).forcing == Forcing("k", START)


def test_fifo_message_behind_one_that_stays_waits_and_other_groups_go_on() -> None:
    def plan(group: str, body: str) -> object:
        return judge(reading(buried(body, group_id=group)), Known(HOME), Rules(), START)

    plans = [plan("a", body_of()), plan("b", "{}"), plan("b", body_of()), plan("a", body_of())]
    held: set[str] = set()
    ordered = in_order(plans, held, is_fifo=True)  # type: ignore[arg-type]  # built above
    assert [one.verdict for one in ordered] == [
        Verdict.WILL_RUN,
        Verdict.UNREADABLE,
        Verdict.GROUP_WAITS,
        Verdict.WILL_RUN,
    ]
    assert held == {"b"}


def test_copy_keeps_body_group_original_id_and_first_time_and_drops_the_burial() -> None:
    body = body_of()
    plan = judge(reading(buried(body)), Known(HOME), Rules(), START)
    copy = copy_of(plan, "run-7")
    assert (copy.body, copy.group_id, copy.deduplication_id) == (body, "acme", None)
    assert {name: one.text for name, one in copy.attributes.items()} == {
        "original_message_id": "first-id",
        "first_sent_at": "2026-02-27T12:00:00+00:00",
        "replay_run": "run-7",
    }


def test_copy_of_a_redriven_message_keeps_its_own_attributes_before_ours() -> None:
    own = {f"own{n}": Attribute("Binary", data=b"\x00\xff") for n in range(9)}
    redriven = read(message(Copy("anything", own), source_arn="arn:aws:sqs:r:1:f"))
    copy = copy_of(judge(redriven, Known(FOREIGN), Rules(), START), "run-7")
    assert list(copy.attributes) == [*own, "original_message_id"]
    assert copy.attributes["original_message_id"].text == "m-1"
    full = read(message(Copy("x" * (1024 * 1024))))
    assert copy_of(judge(full, Known(FOREIGN), Rules(), START), "run-7").attributes == {}


def test_fifo_copy_has_a_deduplication_id_of_the_dead_message_alone() -> None:
    plan = judge(reading(buried(body_of(), group_id="g")), Known(FIFO), Rules(), START)
    assert copy_of(plan, "run-1").deduplication_id == copy_of(plan, "run-2").deduplication_id
    assert deduplication_id("m-1", "body") != deduplication_id("m-2", "body")


def test_fifo_copy_of_an_edited_body_is_not_taken_for_the_one_that_was_sent_before() -> None:
    """An uncertain send may have arrived, and SQS drops what it takes for the same, in silence."""
    before = judge(reading(buried(body_of("A-1"), group_id="g")), Known(FIFO), Rules(), START)
    edited = judge(reading(buried(body_of("A-2"), group_id="g")), Known(FIFO), Rules(), START)
    assert before.reading.id == edited.reading.id
    ids = {copy_of(plan, "run-1").deduplication_id for plan in (before, edited)}
    assert len(ids) == 2


@pytest.mark.parametrize("step", [None, "sending"])
def test_a_body_that_lies_in_s3_goes_home_and_its_worker_sees_whether_it_was_done(
    step: str | None,
) -> None:
    pointer, known = Pointer("files", "claim-checks/e-1").encode(), Known(HOME, journal_step=step)
    plan = judge(reading(buried(pointer)), known, Rules(), START)
    assert (plan.verdict, plan.sends) == (Verdict.WILL_SEND, True)
    assert "S3" in plan.why
    gone = reading(buried(pointer, error_class="UnredeemedClaimCheck"))
    assert judge(gone, known, Rules(), START).verdict is Verdict.UNREADABLE


class RebillAccountsNext(RebillAccounts):
    """As if the event had got a second version."""

    TYPE = RebillAccounts.TYPE.replace(".v1", ".v2")


def test_old_version_is_sent_as_the_current_one() -> None:
    entry = Entry(RebillAccountsNext, CATALOGUE[RebillAccounts.TYPE].route)
    step = Upcast(RebillAccounts.TYPE, entry.type, lambda data: data)
    catalogue = Catalogue([entry], [step])
    body = body_of()
    found = read(message(buried(body)), catalogue)
    copy = copy_of(judge(found, Known(HOME), Rules(), START), "run")
    assert json.loads(copy.body)["type"] == entry.type
    assert decode(copy.body, catalogue) == decode(body, catalogue)
    current = read(message(buried(copy.body)), catalogue)
    assert copy_of(judge(current, Known(HOME), Rules(), START), "run").body == copy.body


def test_buried_and_redriven_messages_tell_why_they_are_dead() -> None:
    one = reading()
    assert (one.reason, one.fingerprint, one.origin) == (
        "no such account",
        "f00df00df00d",
        "rebill",
    )
    assert one.first_seen_at == datetime(2026, 2, 27, 12, tzinfo=UTC)
    assert one.original_id == "first-id"
    moved = read(message(Copy(body_of()), source_arn="arn:aws:sqs:r:1:test-rebill"))
    assert (moved.reason, moved.origin, moved.original_id) == (RECEIVED_TOO_OFTEN, None, "m-1")
    assert moved.first_seen_at == START
    foreign = read(message(Copy("\ufffd binary")))
    assert foreign.error_class == "UndecodableBody"
    assert foreign.fingerprint == read(message(Copy("\ufffd other"), message_id="m-9")).fingerprint


@pytest.mark.parametrize(
    ("copy", "arn"),
    [
        (buried("a notification", origin="feedback"), None),
        (Copy("a notification"), "arn:aws:sqs:r:1:test-feedback"),
    ],
)
def test_a_body_that_aws_wrote_is_read_by_its_queue_and_goes_home_as_it_is(
    copy: Copy, arn: str | None
) -> None:
    translated = {"feedback": lambda body: decode(body_of(body.replace(" ", "-")))}
    one = read(message(copy, source_arn=arn), translated=translated)
    assert (one.tenant, one.contract, one.problem) == ("acme", RebillAccounts.TYPE, None)
    home = Address("memory://f", "f", is_fifo=False, fleet_name="feedback")
    sent = copy_of(judge(one, Known(home), Rules(), START), "run")
    assert sent.body == "a notification"
    elsewhere = read(message(Copy("a notification"), source_arn="arn:aws:sqs:r:1:test-rebill"))
    assert elsewhere.envelope is None


def test_address_is_what_is_named_then_origin_then_source_then_the_only_one() -> None:
    other = Address("memory://other", "other", is_fifo=False)
    book = AddressBook(None, {"rebill": HOME}, [HOME, other])
    assert book.find(reading()) == HOME
    assert AddressBook(other, {"rebill": HOME}, []).find(reading()) == other
    moved = read(message(Copy("x"), source_arn="arn:aws:sqs:r:1:other"))
    assert book.find(moved) == other
    assert book.find(read(message(Copy("x")))) is None
    assert AddressBook(None, {}, [other]).find(read(message(Copy("x")))) == other
    # A name in an attribute is taken only if the catalogue says that the queue buries here.
    assert book.find(reading(buried(body_of(), origin="collect"))) is None


@pytest.mark.parametrize(
    ("meant", "is_meant"),
    [
        (Filter(), True),
        (Filter(type="rebill_accounts"), True),
        (Filter(type=RebillAccounts.TYPE), True),
        (Filter(type="collect_payments"), False),
        (Filter(tenant="acme"), True),
        (Filter(tenant="zeta"), False),
        (Filter(fingerprint="f00d"), True),
        (Filter(fingerprint="beef"), False),
        (Filter(older_than=timedelta(days=1)), True),
        (Filter(older_than=timedelta(days=3)), False),
        (Filter(younger_than=timedelta(days=3)), True),
        (Filter(younger_than=timedelta(days=1)), False),
        (Filter(conditions=parse_conditions(["accounts.account_id=A-1"])), True),
        (Filter(conditions=parse_conditions(["accounts.account_id=A-2"])), False),
        (Filter(conditions=parse_conditions(["accounts.account_id!=A-2"])), True),
        (Filter(conditions=parse_conditions(["accounts.generation=0"])), True),
        (Filter(conditions=parse_conditions(["as_of=2026-03-01", "no.such=1"])), False),
    ],
)
def test_filter_lets_through_what_is_meant(meant: Filter, is_meant: bool) -> None:
    assert meant.matches(reading(), START) is is_meant


def test_what_cannot_be_read_has_no_fields() -> None:
    unreadable = reading(buried("{}"))
    assert not Filter(conditions=parse_conditions(["a!=1"])).matches(unreadable, START)


def test_durations_and_conditions_that_make_no_sense_are_usage_errors() -> None:
    assert parse_duration("1.5h", "--older-than") == timedelta(minutes=90)
    for text in ("", "5", "5 weeks", "-1h"):
        with pytest.raises(UsageWrong):
            parse_duration(text, "--older-than")
    for text in ("", "=1", "field"):
        with pytest.raises(UsageWrong):
            parse_conditions([text])


def test_line_of_a_message_brings_back_the_same_message() -> None:
    attributes = {"a": Attribute("Number", "1"), "b": Attribute("Binary.x", data=b"\x00\xff")}
    one = message(Copy(' é\n"\u2028 {', attributes, "g"), source_arn="arn:aws:sqs:r:1:f")
    line = line_of(read(one), "arn:aws:sqs:r:1:dlq")
    assert "\n" not in line
    back, queue = parse_line(line, 1)
    assert queue == "arn:aws:sqs:r:1:dlq"
    assert line_of(read(back), queue) == line.replace('"handle"', '""')


def test_line_that_is_none_is_named_by_its_number() -> None:
    for text in ("{}", "[]", "no json", '{"message_id":"m","queue":"q","body":"","sent_at":"x"}'):
        with pytest.raises(UsageWrong, match="Line 7"):
            parse_line(text, 7)


def test_edited_body_is_checked_and_the_difference_is_shown() -> None:
    body = body_of()
    assert objection(body) is None
    broken = body.replace('"as_of":"2026-03-01"', '"as_of":"soon"')
    assert "$.data.as_of" in (objection(broken) or "")
    assert packed(for_reading(body)) == body
    assert '+    "as_of": "soon"' in difference(body, broken)
    assert for_reading("not json") == packed("not json") == "not json"


def test_a_body_that_is_nested_too_deeply_is_shown_as_it_is() -> None:
    deep = '["software.amazon.payloadoffloading.PayloadS3Pointer",' + "[" * 100_000
    dead = reading(buried(deep))
    assert judge(dead, Known(HOME), Rules(), START).verdict is Verdict.UNREADABLE
    assert (for_reading(deep), packed(deep), laid_out(deep)) == (deep, deep, deep)
