"""Registers the fixtures that several test folders share.

Tests in a browser need Chromium and are left out unless BILLFLEET_BROWSER names it; `make browser`
does.
"""

import os
from collections.abc import Iterator

import pytest
import structlog

pytest_plugins = ["fixtures_postgres", "fixtures_stack"]
collect_ignore = [] if os.environ.get("BILLFLEET_BROWSER") else ["browser"]


@pytest.fixture(autouse=True)
def logs_as_they_were() -> Iterator[None]:
    """A command run inside a test sets up logs for its process; the next test has its own."""
    before = structlog.get_config()
    yield
    if structlog.get_config() != before:
        structlog.configure(**before)
