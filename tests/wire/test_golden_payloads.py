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
    "billfleet.webhooks.deliver_webhook.v1": (
        "f25ce0e5dbbb706e7a753906e06befb5ff25aefb65402ff3f6f4418acf32986c"
    ),
    "billfleet.avatars.object_stored.v1": (
        "94d9ed8fe53262ed81d5fb632e1831822e7d70b1c4215d0d47ec0c93c87e7ef0"
    ),
    "billfleet.avatars.avatar_ready.v1": (
        "2fa21ad69b3c7d92d3a0509c31d8fe6f5e8ce1fdbf2b3d8d478490ef8ac54130"
    ),
    "billfleet.avatars.avatar_refused.v1": (
        "a68aeb7b8f926ffc33d5712cd48547cc754d9437098804a9bb84cae597d14729"
    ),
    "billfleet.analytics.event_tracked.v1": (
        "50852a595c5137b13969885fad328c0ed1401335c80c5bf7ce74c475456f969c"
    ),
    "billfleet.analytics.report_requested.v1": (
        "297b0c030d328f0a01407d08cb2b4c87a6fefbec570d77b9db9dd83598fc67ac"
    ),
    "billfleet.analytics.report_ready.v1": (
        "6dd320afb28656d9619dd2c24bde70cba1d61805a872657348069589d95de0cd"
    ),
    "billfleet.mail.due_bills_ready.v1": (
        "46923fe8c66ae113f1a18b8d955b70bc7f3e22cc067f3e93f963eb2b4b0a2810"
    ),
    "billfleet.mail.due_bills_requested.v1": (
        "2db6fca294f58e1368f5226fa137ba4dcfdeba84e1d4e52865ecd516d4caff2c"
    ),
    "billfleet.mail.mail_refused.v1": (
        "9f5f77ff568e2656403e094c93a44ff2f66f431a6bcb57736f8e1e57eb48a61a"
    ),
    "billfleet.mail.mail_sent.v1": (
        "eb0a9ed2e9879dbeb82814617615d6f6775c514aefe08ee67f32b1e4124275db"
    ),
    "billfleet.mail.send_mail.v1": (
        "0b47cb52b0868134cdfba18436cdd0d8418ed456a0e69db872e613b4bcd6c244"
    ),
    "billfleet.mail.sns_notification.v1": (
        "14362f61e975a8ccbc8f08809e66e2828d7bd301a7f70aa16446ab529a0c70c1"
    ),
    "billfleet.exports.export_requested.v1": (
        "3cfb008a42788cab1b8a7e2cc9fec05477ce1b28ec75eabccec67ae36f76733d"
    ),
    "billfleet.exports.export_ready.v1": (
        "62a953023c754dfa501fb6a5c4e226905a6b5310ddade1b4a74cb04789546984"
    ),
    "billfleet.exports.export_failed.v1": (
        "d0d2495586a12604f0bdccd64a0f44a34cf689a7d86ca7a9881eba8d14c2e3e1"
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
