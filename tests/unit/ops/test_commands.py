"""Choosing workers, reading settings, and the order of the commands."""

import pytest

from billfleet_ops.commands.doctor import verdict
from billfleet_ops.commands.worker import chosen
from billfleet_ops.configuration import check_endpoint, load_settings
from billfleet_ops.errors import ConfigurationWrong, UsageWrong
from billfleet_ops.exits import MEANINGS, Exit
from billfleet_ops.finding import doubtful, fine, wrong
from billfleet_ops.teaching import lesson

KNOWN = ["rebill", "collect"]


def test_all_means_every_worker_and_a_name_given_twice_runs_once() -> None:
    assert chosen([], known=KNOWN, every=True) == KNOWN
    assert chosen(["collect", "collect"], known=KNOWN, every=False) == ["collect"]


@pytest.mark.parametrize(("names", "every"), [([], False), (["rebill"], True), (["rebil"], False)])
def test_an_unclear_choice_of_workers_is_refused_with_their_names(
    names: list[str], every: bool
) -> None:
    with pytest.raises(UsageWrong) as refused:
        chosen(names, known=KNOWN, every=every)
    assert "rebill, collect" in refused.value.remedy


def test_a_wrong_setting_is_named_as_its_variable_and_its_value_is_not_shown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.setenv("BILLFLEET_HOME", str(tmp_path))
    monkeypatch.setenv("BILLFLEET_STATSD_PORT", "hunter2")
    with pytest.raises(ConfigurationWrong) as refused:
        load_settings()
    assert "BILLFLEET_STATSD_PORT" in refused.value.what
    assert "hunter2" not in refused.value.what


@pytest.mark.parametrize(
    "url", ["nonsense", "127.0.0.1:4566", "ftp://host", "http://", "https:host"]
)
def test_an_endpoint_that_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationWrong, match="AWS_ENDPOINT_URL"):
        check_endpoint(url)


def test_an_endpoint_may_be_unset_or_an_address() -> None:
    check_endpoint(None)
    check_endpoint("http://127.0.0.1:4566")


def test_doctor_ends_with_what_is_wrong_and_what_wants_a_look() -> None:
    well, doubt, bad = fine("a", "b"), doubtful("a", "b", "c"), wrong("a", "b", "c")
    assert verdict([well]) == "Nothing is wrong."
    assert verdict([well, doubt]) == "Nothing is wrong; 1 of 2 want a look."
    assert verdict([bad, doubt]) == "1 of 2 are wrong; 1 of 2 want a look."
    assert verdict([bad]) == "1 of 1 are wrong."


def test_a_long_example_can_be_copied_into_a_shell() -> None:
    text = lesson(("billfleet accounts import a.csv " + "--map account_id=customer " * 4, "theirs"))
    command = text.split("$ ")[1].split("theirs")[0]
    assert " ".join(command.replace("\\\n", " ").split()).startswith(
        "billfleet accounts import a.csv --map account_id=customer --map"
    )
    assert max(len(line) for line in command.splitlines()) < 60


def test_exit_codes_keep_their_numbers() -> None:
    assert {code.name: code.value for code in Exit} == {
        "OK": 0,
        "FAILED": 1,
        "USAGE": 2,
        "CONFIGURATION": 3,
        "UNREACHABLE": 4,
        "REFUSED": 5,
        "INTERNAL": 70,
    }
    assert all(f"{code.value} " in MEANINGS for code in Exit)


def test_a_lesson_shows_examples_and_exit_codes() -> None:
    text = lesson(("billfleet status", "look"))
    assert "$ billfleet status" in text
    assert MEANINGS in text


def test_findings_carry_their_level() -> None:
    levels = [fine("a", "b").level, doubtful("a", "b", "c").level, wrong("a", "b", "c").level]
    assert levels == ["ok", "warning", "error"]
