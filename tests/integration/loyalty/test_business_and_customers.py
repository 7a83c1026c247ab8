"""A business, its staff and its customers, filled by a person with files and commands."""

import json
from pathlib import Path

import pytest

from billfleet_ops.exits import Exit
from loyalty_world import Say

BUSINESS = """
name: Acme Coffee
currency: EUR
time_zone: Europe/Berlin
brands:
  - {brand: north, name: North, stores: [{store: north-1, name: Harbour}]}
  - {brand: south, name: South}
staff:
  - {staff: ada, name: Ada, role: manager, store: north-1}
  - {staff: bob, name: Bob, role: owner}
"""
PEOPLE = """customer_id,name,email,consent:marketing,consent:expiry_warnings,preference:store
C-1,Ada,ada@example.com,yes,no,north-1
C-2,Bob,,,,
"""


@pytest.fixture
def acme(say: Say, tmp_path: Path) -> Path:
    """A tenant with a business; the file."""
    path = tmp_path / "acme.yaml"
    path.write_text(BUSINESS)
    assert say("business", "set", str(path), "--tenant", "acme")[0] == Exit.OK
    return path


@pytest.fixture
def people(tmp_path: Path) -> Path:
    path = tmp_path / "people.csv"
    path.write_text(PEOPLE)
    return path


def test_a_business_is_set_from_a_file_as_often_as_one_likes(say: Say, acme: Path) -> None:
    acme.write_text(BUSINESS.replace("Harbour", "Old harbour"))
    code, out, _ = say("business", "set", str(acme), "--tenant", "acme")
    assert (code, out.strip()) == (Exit.OK, "Set 2 brands, 1 stores and 2 staff.")
    found = json.loads(say("business", "show", "--tenant", "acme", "--json")[1])
    assert found["stores"] == [{"store_id": "north-1", "brand_id": "north", "name": "Old harbour"}]
    assert [one["role"] for one in found["staff"]] == ["manager", "owner"]
    assert "Old harbour" in say("business", "show", "--tenant", "acme")[1]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("role: owner", "role: king", "role"),
        ("Europe/Berlin", "Europe/Nowhere", "Nowhere"),
        ("brands:\n", "brands: 5\nmore:\n", "brands"),
    ],
)
def test_a_business_that_cannot_be_is_refused_with_the_place(
    say: Say, tmp_path: Path, old: str, new: str, said: str
) -> None:
    path = tmp_path / "bad.yaml"
    path.write_text(BUSINESS.replace(old, new))
    code, _, problems = say("business", "set", str(path), "--tenant", "acme")
    assert code != Exit.OK
    assert said in problems


def test_a_store_never_moves_to_another_brand(say: Say, acme: Path) -> None:
    moved = BUSINESS.replace(
        "name: South}", "name: South, stores: [{store: north-1, name: Stolen}]}"
    ).replace(", stores: [{store: north-1, name: Harbour}]", "")
    acme.write_text(moved)
    code, _, problems = say("business", "set", str(acme), "--tenant", "acme")
    assert code == Exit.REFUSED
    assert "north-1" in problems
    assert "Harbour" in say("business", "show", "--tenant", "acme")[1]


def test_customers_come_from_a_file_and_a_second_time_nothing_is_new(
    say: Say, acme: Path, people: Path
) -> None:
    assert acme.exists()
    for news in (2, 0):
        code, out, _ = say("customers", "import", str(people), "--tenant", "acme", "--json")
        assert code == Exit.OK
        assert json.loads(out) == {"customers": 2, "new_decisions": news, "preferences": 1}
    found = json.loads(say("customers", "show", "C-1", "--tenant", "acme", "--json")[1])
    assert found["customer"]["email"] == "ada@example.com"
    assert {one["purpose"]: one["is_given"] for one in found["decisions"]} == {
        "marketing": True,
        "expiry_warnings": False,
    }
    assert found["preferences"] == [{"customer_id": "C-1", "name": "store", "value": "north-1"}]


def test_a_file_without_names_leaves_names_alone(say: Say, acme: Path, people: Path) -> None:
    assert acme.exists()
    say("customers", "import", str(people), "--tenant", "acme")
    people.write_text("customer_id,consent:insights\nC-1,no\n")
    assert say("customers", "import", str(people), "--tenant", "acme")[0] == Exit.OK
    assert "ada@example.com" in say("customers", "show", "C-1", "--tenant", "acme")[1]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("consent:marketing", "consent:everything", "consent:everything"),
        ("customer_id", "customer", "customer"),
        (",yes,", ",perhaps,", "line 2: consent:marketing is 'perhaps'"),
        ("ada@example.com", "ada", "no email address"),
    ],
)
def test_a_file_with_a_mistake_imports_nothing_and_names_it(
    say: Say, acme: Path, people: Path, old: str, new: str, said: str
) -> None:
    assert acme.exists()
    people.write_text(PEOPLE.replace(old, new, 1))
    code, _, problems = say("customers", "import", str(people), "--tenant", "acme")
    assert code == Exit.USAGE
    assert said in problems
    assert say("customers", "show", "C-2", "--tenant", "acme")[0] == Exit.USAGE


def test_decisions_are_kept_and_the_latest_holds(say: Say, acme: Path, people: Path) -> None:
    assert acme.exists()
    say("customers", "import", str(people), "--tenant", "acme")
    for word in ("no", "no", "yes"):
        say("customers", "consent", "C-1", "marketing", word, "--tenant", "acme")
    say("customers", "prefer", "C-1", "store", "north-2", "--tenant", "acme")
    found = json.loads(say("customers", "show", "C-1", "--tenant", "acme", "--json")[1])
    given = [one["is_given"] for one in found["decisions"] if one["purpose"] == "marketing"]
    assert given == [True, False, True]
    assert found["preferences"][0]["value"] == "north-2"
    assert say("customers", "consent", "C-9", "marketing", "no", "--tenant", "acme")[0] != Exit.OK
