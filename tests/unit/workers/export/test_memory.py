"""What keeps a worker that writes Parquet small. `bench/exports.py` measures it."""

import subprocess
import sys

PROGRAM = """
from billfleet_workers.main.fleet_workers import export
export.give_memory_back()
import pyarrow
print(pyarrow.default_memory_pool().backend_name)
"""


def test_arrow_is_told_to_give_memory_back_before_it_is_loaded() -> None:
    """R81."""
    said = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    )
    assert said.stdout.strip() == "system"
