"""The form in which SQS and SNS take messages."""

from billfleet_workers.adapters.message_form import clean_attributes, size_bytes


def test_attributes_that_fit_are_left_as_they_are() -> None:
    attributes = {"reason": "unknown type é \U0001f9fe\n", "error.class": "UnknownType"}
    assert clean_attributes(attributes, bytes_max=10_000) == attributes


def test_cleaned_attributes_never_take_more_room_than_there_is() -> None:
    attributes = {"reason": "é" * 400, "fingerprint": "f" * 40, "origin": "rebill"}
    for room in range(0, 1_000, 7):
        cleaned = clean_attributes(attributes, bytes_max=room)
        assert size_bytes("", cleaned) <= room
        assert all(cleaned.values())


def test_first_attributes_are_the_ones_that_stay() -> None:
    cleaned = clean_attributes({f"a{n}": "x" for n in range(14)}, bytes_max=10_000)
    assert list(cleaned) == [f"a{n}" for n in range(10)]


def test_names_are_reduced_to_what_sqs_allows() -> None:
    names = ["a b", ".dots..inside.", "ok_-.9", "AWS.x", "amazon.y", "!!!"]
    cleaned = clean_attributes(dict.fromkeys(names, "v"), bytes_max=10_000)
    assert list(cleaned) == ["a-b", "dots-inside", "ok_-.9"]


def test_size_counts_names_types_and_values_in_bytes() -> None:
    assert size_bytes("é", {"ab": "éé"}) == 2 + len("ab") + len("String") + 4
