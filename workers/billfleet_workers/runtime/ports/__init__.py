"""What the engine needs from the world, as protocols.

Each port has a real adapter and an in-memory one in `billfleet_workers.adapters`, and both
pass the same suite in `tests/conformance`. A port speaks in values of this package and raises
only errors of `billfleet_workers.runtime.errors`: what an SDK throws stops at its adapter.
"""
