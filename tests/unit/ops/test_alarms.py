"""Alarms: each measures what the fleet emits, and names a page that exists."""

from pathlib import Path

import pytest

from billfleet_ops.alarms import ALARMS, Alarm, cloudwatch_query
from billfleet_ops.runbooks import Runbook
from billfleet_workers.runtime.ports.metrics import METRICS

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("alarm", ALARMS, ids=lambda alarm: alarm.name)
def test_an_alarm_measures_a_metric_by_tags_that_it_has_and_names_its_page(alarm: Alarm) -> None:
    tags = METRICS[alarm.metric].tags
    assert set(alarm.per) <= set(tags)
    assert set(alarm.where) | set(alarm.where_not) <= set(tags)
    assert (ROOT / alarm.runbook).is_file()
    assert alarm.name in (ROOT / alarm.runbook).read_text() or alarm.runbook in GENERAL_PAGES


GENERAL_PAGES = {
    Runbook.DEAD_LETTERS,
    Runbook.RECEIVING_PAUSED,
    Runbook.OUTBOX_GROWING,
    Runbook.ATTEMPTS_FOR_A_HUMAN,
    Runbook.ACCOUNT_PARKED,
}
"""Pages that are older than the alarms; they begin with what is seen."""


def test_no_two_alarms_have_one_name() -> None:
    assert len({alarm.name for alarm in ALARMS}) == len(ALARMS)


def test_a_query_names_the_metric_its_conditions_and_its_series() -> None:
    poison = next(alarm for alarm in ALARMS if alarm.name == "poison")
    assert cloudwatch_query(poison) == (
        'SELECT SUM("billfleet_deliveries") FROM "billfleet"'
        " WHERE outcome = 'poison' GROUP BY type"
    )


def test_no_query_of_a_template_asks_for_metrics_that_have_exactly_some_tags() -> None:
    """The agent adds `metric_type` and `host`: such a query finds nothing, so its alarm is mute."""
    template = (ROOT / "ops" / "aws" / "observability.yaml").read_text()
    assert 'FROM "billfleet"' in template
    assert "SCHEMA(" not in template


def test_an_endpoint_of_a_tenant_that_is_down_for_a_day_wakes_nobody() -> None:
    """Webhooks are tried for a day and a half, by design; what is given up is a dead letter."""
    oldest = next(alarm for alarm in ALARMS if alarm.name == "oldest-unfinished")
    assert cloudwatch_query(oldest) == (
        'SELECT MAX("billfleet_oldest_unfinished_age_s") FROM "billfleet"'
        " WHERE queue != 'webhooks' GROUP BY queue"
    )
