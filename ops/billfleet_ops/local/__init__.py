"""PostgreSQL and AWS on this machine, for `billfleet up`, `billfleet demo` and tests."""
