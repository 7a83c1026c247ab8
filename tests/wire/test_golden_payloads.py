"""Every version ever shipped is still read: one recorded body per version, for ever."""

import json
from pathlib import Path

import jsonschema
import pytest

from billfleet_contracts import CATALOGUE, decode, encode, payload_hash
from billfleet_contracts.schemas import DIRECTORY

GOLDEN = Path(__file__).parent / "golden"
PAYLOADS = sorted(GOLDEN.glob("*.json"))

# What dedupe entries of messages in flight hold. A changed hash turns their redelivery to poison.
HASHES = {
    "billfleet.billing.account_rebilled.v1": (
        "23752d20c797e8568e88b2f4cb92b309006c6261f712ab64d8acfe09d3e36d57"
    ),
    "billfleet.billing.collect_payments.v1": (
        "6c3c58fcceacf1dd16a09fca34932032aff876175a328e7762850431c4059077"
    ),
    "billfleet.billing.payment_failed.v1": (
        "7412a4e025c44eee8250499b5012f94bf7337ead05fc1e6e4986f4924c3257db"
    ),
    "billfleet.billing.payment_reported.v1": (
        "6992d8742abeca5478c2d2f63cfea1dfc46ac6d96439c51982d7a9bcc46b97c9"
    ),
    "billfleet.billing.payment_succeeded.v1": (
        "c38ffe252408bdba48f2108eeaaaab7edd62e988f2adae356078ddf525c02401"
    ),
    "billfleet.billing.rebill_accounts.v1": (
        "df88581616c21e104999cd92700725a3d1975b2922a17997808b196658f2a9dc"
    ),
    "billfleet.loyalty.issue_stamps.v1": (
        "b6c10d7b0f598a0ab906765f25e0a52676325414074e03b9c4458deda8ac182c"
    ),
    "billfleet.loyalty.add_points.v1": (
        "6ad2a6708da3871d62c9b53087dac5520c2ac958344efcc962398a463775220e"
    ),
    "billfleet.loyalty.redeem_reward.v1": (
        "8bddca70ffb67e557cc6eb15df8a48b302ae94c6e61d79ae94c4482a23c960a5"
    ),
    "billfleet.loyalty.cancel_transaction.v1": (
        "a99ea218e76657657481e01dd70c62f57223078415be1e68f2796d8663bb5403"
    ),
    "billfleet.loyalty.set_programme.v1": (
        "ede4b21df8286bf71390121b683fc0a1354585e3162dca8d04622ec18d7c634e"
    ),
    "billfleet.loyalty.points_issued.v1": (
        "35d3bcc9bfc8cabf27ecbe396729db09e33ce5520e5795dfb4179b6a31cc3a90"
    ),
    "billfleet.loyalty.stamps_issued.v1": (
        "6db78f9bb282ed3f91eeeb69744e6998148f4aecf53019ce8896e6ab5e9ac23b"
    ),
    "billfleet.loyalty.points_redeemed.v1": (
        "9b80ac3bb093a082e90ad0786ca38227fe99c001b12dd487f953e4ec0d9fefbd"
    ),
    "billfleet.loyalty.points_reversed.v1": (
        "a0b6841dadf81e1075dd8605f136c3c5bfd6d2afbc886426dde04e896bcddd62"
    ),
    "billfleet.loyalty.points_expired.v1": (
        "85117f9c1d90fee7dcbadc9b563ae2b9bbe1f2ed96ede0bfd88d7eaee2861b29"
    ),
    "billfleet.loyalty.project_transactions.v1": (
        "bb3448ef3093f7da39fbe87a5456276df6f7d3b548f7e2020e8aa9ff25ab7ad0"
    ),
    "billfleet.loyalty.points_expiring.v1": (
        "96d50fb58b657827d3278246c2f90693e3cd98e8cc37d3473ddc41a21941eba9"
    ),
    "billfleet.loyalty.loyalty_refused.v1": (
        "99d0ac32781aae541b4d802d72c99fbcea9dcf35f99a9b025d6059debce3671f"
    ),
}


@pytest.mark.parametrize("path", PAYLOADS, ids=lambda path: path.stem)
def test_golden_payload_decodes_and_encodes_to_the_same_message(path: Path) -> None:
    body = path.read_bytes()
    envelope = decode(body)
    assert envelope.type == path.stem
    assert json.loads(encode(envelope)) == json.loads(body)


@pytest.mark.parametrize("path", PAYLOADS, ids=lambda path: path.stem)
def test_golden_payload_validates_against_its_committed_schema(path: Path) -> None:
    schema = json.loads((DIRECTORY / path.name).read_text("utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    jsonschema.Draft202012Validator(schema).validate(json.loads(path.read_text("utf-8")))


@pytest.mark.parametrize("path", PAYLOADS, ids=lambda path: path.stem)
def test_golden_payload_keeps_its_dedupe_key_and_payload_hash(path: Path) -> None:
    envelope = decode(path.read_bytes())
    assert envelope.data.default_dedupe_key() == envelope.dedupekey
    assert payload_hash(envelope) == HASHES[path.stem]


def test_every_type_of_the_catalogue_has_a_golden_payload() -> None:
    assert {path.stem for path in PAYLOADS} >= {*CATALOGUE, *CATALOGUE.upcasts.old_types}
