"""Choosing workers, reading settings, and the order of the commands."""

import pytest

from billfleet_ops.commands.worker import chosen
from billfleet_ops.configuration import load_settings
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
