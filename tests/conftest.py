"""Registers the fixtures that several test folders share."""

pytest_plugins = ["fixtures_postgres", "fixtures_stack"]
