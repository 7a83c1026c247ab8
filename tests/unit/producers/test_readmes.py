"""The examples that newcomers copy run as they stand."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("room", ["contracts", "producers"])
def test_example_of_the_readme_runs_and_the_page_is_short(room: str) -> None:
    text = (ROOT / room / "README.md").read_text("utf-8")
    examples = re.findall(r"```python\n(.*?)```", text, flags=re.DOTALL)
    assert examples
    assert len(text.splitlines()) <= 40
    for example in examples:
        ran = subprocess.run(
            [sys.executable, "-W", "error", "-c", example],
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr


def test_examples_of_the_outboxs_page_run_after_those_of_the_readme() -> None:
    pages = ("README.md", "outbox.md")
    texts = [(ROOT / "producers" / page).read_text("utf-8") for page in pages]
    script = "".join(re.findall(r"```python\n(.*?)```", "".join(texts), flags=re.DOTALL))
    ran = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 0, ran.stderr
