"""The environment alone decides what is embedded."""

import pytest

from billfleet_ops.local.substitution import applicable, embeds_aws, embeds_database

PUBLISHED = {
    "DATABASE_URL": "postgresql://local/app",
    "MIGRATION_DATABASE_URL": "postgresql://local/owner",
    "AWS_ENDPOINT_URL": "http://local",
    "AWS_ACCESS_KEY_ID": "local",
    "BILLFLEET_STACK": "billfleet-local",
}


def test_nothing_set_means_everything_embedded() -> None:
    assert embeds_database({})
    assert embeds_aws({})
    assert applicable(PUBLISHED, {}) == PUBLISHED


@pytest.mark.parametrize("name", ["DATABASE_URL", "BILLFLEET_DATABASE_URL"])
def test_a_database_url_replaces_the_database_and_also_the_owners_login(name: str) -> None:
    environ = {name: "postgresql://real/app"}
    assert not embeds_database(environ)
    applied = applicable(PUBLISHED, environ)
    assert not {"DATABASE_URL", "MIGRATION_DATABASE_URL"} & set(applied)
    assert "AWS_ENDPOINT_URL" in applied


def test_an_endpoint_replaces_the_emulator_with_its_credentials() -> None:
    environ = {"AWS_ENDPOINT_URL": "http://other"}
    assert not embeds_aws(environ)
    assert set(applicable(PUBLISHED, environ)) == {
        "DATABASE_URL",
        "MIGRATION_DATABASE_URL",
        "BILLFLEET_STACK",
    }


def test_credentials_alone_never_send_work_to_an_account() -> None:
    assert embeds_aws({"AWS_PROFILE": "work"})
    assert embeds_aws({"BILLFLEET_STACK": "billfleet-prod"})


@pytest.mark.parametrize("name", ["AWS_PROFILE", "AWS_ACCESS_KEY_ID"])
def test_credentials_with_a_named_installation_mean_aws_itself(name: str) -> None:
    environ = {name: "x", "BILLFLEET_STACK": "billfleet-prod"}
    assert not embeds_aws(environ)
    assert "AWS_ENDPOINT_URL" not in applicable(PUBLISHED, environ)


def test_what_is_set_is_never_replaced_and_an_empty_value_is_not_set() -> None:
    environ = {"BILLFLEET_STACK": "mine", "DATABASE_URL": ""}
    applied = applicable(PUBLISHED, environ)
    assert "BILLFLEET_STACK" not in applied
    assert applied["DATABASE_URL"] == "postgresql://local/app"
