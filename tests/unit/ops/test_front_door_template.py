"""The front door on AWS: whose word it takes for the address that a caller comes from."""

from typing import Any

import pytest
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from template_reading import declared

BALANCER, STRANGER = "10.0.1.17", "203.0.113.9"


def trusted() -> str:
    tasks = {one.logical_id: one for one in declared("AWS::ECS::TaskDefinition")}
    container = tasks["FrontDoorTask"].properties["ContainerDefinitions"][0]
    [value] = [
        one["Value"]
        for one in container["Environment"]
        if one["Name"] == "BILLFLEET_HTTP_TRUSTED_PROXIES"
    ]
    return str(value)


def test_it_believes_the_subnets_of_its_load_balancer() -> None:
    subnets = [one for one in declared() if one.kind == "AWS::EC2::Subnet"]
    public = [one.properties["CidrBlock"] for one in subnets if one.logical_id.startswith("Public")]
    assert sorted(trusted().split(",")) == sorted(public)


@pytest.mark.parametrize("told", [STRANGER, f"8.8.8.8, {STRANGER}", f"10.0.1.3, {STRANGER}"])
async def test_a_caller_can_not_choose_the_address_that_its_rate_is_counted_by(told: str) -> None:
    """The load balancer writes the address behind what the caller has written."""
    seen: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        seen.append(scope["client"][0])

    async def nothing(*_: Any) -> Any:
        return {}

    scope: Any = {
        "type": "http",
        "client": (BALANCER, 4711),
        "headers": [(b"x-forwarded-for", told.encode())],
    }
    await ProxyHeadersMiddleware(app, trusted())(scope, nothing, nothing)
    assert seen == [STRANGER]
