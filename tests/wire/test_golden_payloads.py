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
