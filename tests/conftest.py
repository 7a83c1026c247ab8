"""Registers the fixtures that several test folders share.

Tests in a browser need Chromium and are left out unless BILLFLEET_BROWSER names it; `make browser`
does.
"""

import os

pytest_plugins = ["fixtures_postgres", "fixtures_stack"]
collect_ignore = [] if os.environ.get("BILLFLEET_BROWSER") else ["browser"]
