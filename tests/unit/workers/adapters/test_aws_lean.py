"""Where the lean clients find a service: what botocore would answer, without its client."""

from collections.abc import Callable

import pytest
from aiobotocore.session import get_session

from billfleet_workers.adapters.aws_lean import LeanService, Place, find_place, proxy_for

Find = Callable[..., Place]


@pytest.fixture
def find(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Find:
    """Asks with no configuration but the given variables."""
    nothing = tmp_path_factory.mktemp("aws") / "none"
    monkeypatch.setenv("AWS_CONFIG_FILE", str(nothing))
    for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_SQS", "AWS_USE_FIPS_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)

    def ask(
        name: LeanService = "sqs",
        region: str = "eu-central-1",
        endpoint_url: str | None = None,
        **variables: str,
    ) -> Place:
        for variable, value in variables.items():
            monkeypatch.setenv(variable, value)
        return find_place(get_session(), name, region, endpoint_url)

    return ask


@pytest.mark.parametrize(
    ("name", "region", "url"),
    [
        ("sqs", "us-east-1", "https://sqs.us-east-1.amazonaws.com"),
        ("dynamodb", "eu-central-1", "https://dynamodb.eu-central-1.amazonaws.com"),
        ("sqs", "cn-north-1", "https://sqs.cn-north-1.amazonaws.com.cn"),
        ("dynamodb", "us-gov-west-1", "https://dynamodb.us-gov-west-1.amazonaws.com"),
    ],
)
def test_each_region_is_found_in_its_partition(
    find: Find, name: LeanService, region: str, url: str
) -> None:
    assert find(name, region) == Place(url, region)


def test_fips_host_is_used_where_it_is_asked_for(find: Find) -> None:
    place = find(region="us-east-1", AWS_USE_FIPS_ENDPOINT="true")
    assert place == Place("https://sqs-fips.us-east-1.amazonaws.com", "us-east-1")


def test_endpoint_of_one_service_comes_before_that_of_all(find: Find) -> None:
    variables = {"AWS_ENDPOINT_URL": "http://all:1", "AWS_ENDPOINT_URL_SQS": "http://sqs:2"}
    assert find("sqs", **variables).url == "http://sqs:2"
    assert find("dynamodb", **variables).url == "http://all:1"


def test_given_endpoint_comes_before_configuration_and_fips(find: Find) -> None:
    variables = {"AWS_ENDPOINT_URL_SQS": "http://sqs:2", "AWS_USE_FIPS_ENDPOINT": "true"}
    assert find(endpoint_url="http://given:3", **variables).url == "http://given:3"


def test_configured_endpoints_can_be_ignored(find: Find) -> None:
    variables = {"AWS_ENDPOINT_URL": "http://all:1", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}
    assert find(**variables).url == "https://sqs.eu-central-1.amazonaws.com"


def test_proxy_of_the_environment_holds_unless_the_host_is_excepted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy:3128")
    monkeypatch.setenv("no_proxy", "127.0.0.1,.internal")
    monkeypatch.delenv("http_proxy", raising=False)
    assert proxy_for("https://sqs.eu-central-1.amazonaws.com") == "http://proxy:3128"
    assert proxy_for("https://sqs.internal") is None
    assert proxy_for("http://127.0.0.1:4566") is None
