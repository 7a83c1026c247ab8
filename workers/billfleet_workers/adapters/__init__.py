"""One file per external system, each behind a port of the runtime, with an in-memory twin."""
