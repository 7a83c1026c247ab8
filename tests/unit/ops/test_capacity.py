"""The arithmetic of capacity and costs: it scales, it adds up, and its sizes are the templates'."""

import pytest

from billfleet_ops.capacity import Assumptions, PerMessage, capacity
from billfleet_ops.monthly_costs import RDS, VOLUMES, monthly_costs
from billfleet_ops.prices import prices
from billfleet_ops.template_changes import ORDER
from template_reading import declared, template_paths, tree

BILLION = 10**9


def of(messages: int) -> dict[str, float]:
    found = capacity(messages, PerMessage(), Assumptions(), prices())
    return {line.name: line.amount for line in found.lines}


def test_a_billion_a_day_is_computed_from_the_cost_of_one() -> None:
    found = capacity(BILLION, PerMessage(), Assumptions(), prices())
    assert of(BILLION)["SQS calls"] == pytest.approx(0.30 * BILLION)
    peak_per_s = BILLION / 86_400 * 3
    assert of(BILLION)["DynamoDB write units"] == pytest.approx(2 * peak_per_s)
    per_task_per_s = 0.25 * 0.6 * 1000 / 1.2
    assert of(BILLION)["Fargate tasks"] == pytest.approx(peak_per_s / per_task_per_s, abs=1)
    assert found.usd_per_day == pytest.approx(sum(line.usd_per_day for line in found.lines))
    assert found.usd_per_million == pytest.approx(found.usd_per_day / 1000)


def test_what_exceeds_a_quota_is_said_and_what_does_not_is_not() -> None:
    assert capacity(BILLION, PerMessage(), Assumptions(), prices()).warnings
    assert capacity(100_000, PerMessage(), Assumptions(), prices()).warnings == ()


def test_a_small_fleet_still_has_two_tasks_and_a_database() -> None:
    assert of(1)["Fargate tasks"] == 2
    assert of(1)["PostgreSQL, two zones"] == 1


@pytest.mark.parametrize("environment", ["dev", "prod"])
def test_the_bill_is_for_the_database_that_the_template_makes(environment: str) -> None:
    path = next(path for path in template_paths() if path.stem == "database")
    sizes = tree(path)["Mappings"]["Sizes"][environment]
    name, gib, zones = RDS[environment]
    assert (sizes["Class"], sizes["StorageGib"]) == (name, gib)
    assert zones == (2 if environment == "prod" else 1)
    assert name in prices().rds_hour


def test_the_bill_counts_the_endpoints_that_the_template_makes() -> None:
    made = [
        e
        for e in declared("AWS::EC2::VPCEndpoint")
        if e.properties["VpcEndpointType"] == "Interface"
    ]
    (line,) = [
        c for c in monthly_costs("dev", VOLUMES["dev"], prices()) if "endpoints" in c.service
    ]
    assert line.configuration.startswith(f"{len(made)} services")


def test_prod_costs_more_than_dev_and_no_line_is_negative() -> None:
    sums = {}
    for environment in ("dev", "prod"):
        costs = monthly_costs(environment, VOLUMES[environment], prices())
        assert all(cost.usd >= 0 for cost in costs)
        sums[environment] = sum(cost.usd for cost in costs)
    assert sums["dev"] < sums["prod"]


def test_every_template_has_its_place_in_the_order_of_deployment() -> None:
    assert {path.stem for path in template_paths()} == set(ORDER)
