"""Where the fleet is put together; the one door through which commands reach workers.

The command line, systemd and containers come here, and nowhere else does a handler meet an
adapter.
"""

from billfleet_workers.main.fleet import FleetReport, UnknownWorker, run, run_fleet
from billfleet_workers.main.parts import WORKERS
from billfleet_workers.main.shared import open_database
from billfleet_workers.main.sweeps import (
    CollectReport,
    HorizonExceeded,
    SweepReport,
    sweep_collect,
    sweep_rebill,
)
from billfleet_workers.runtime.log import configure as configure_logs

__all__ = [
    "WORKERS",
    "CollectReport",
    "FleetReport",
    "HorizonExceeded",
    "SweepReport",
    "UnknownWorker",
    "configure_logs",
    "open_database",
    "run",
    "run_fleet",
    "sweep_collect",
    "sweep_rebill",
]
