"""Style that matters, as tests: what a reader may rely on everywhere in the code base.

Limits are ratchets: lower them when the code allows, never raise them without a reason beside
the exception.
"""

import ast
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
ROOMS = ("contracts", "producers", "workers", "db", "ops")
FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60
NAMELESS = {"utils", "util", "helpers", "common", "misc", "manager", "base"}

# A file that is one concept and long for it: each with its reason.
LONG_FILES: dict[str, str] = {}


def sources() -> list[Path]:
    return [
        path
        for room in ROOMS
        for path in sorted((ROOT / room).rglob("*.py"))
        if "migrations" not in path.parts and "build" not in path.parts
    ]


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@pytest.mark.parametrize("path", sources(), ids=relative)
def test_module_is_short_named_for_a_thing_and_has_a_sign_on_its_door(path: Path) -> None:
    text = path.read_text()
    tree = ast.parse(text)
    assert path.stem not in NAMELESS, "name the module for what it holds"
    assert text.count("\n") <= FILE_LINES_MAX or relative(path) in LONG_FILES
    if text.strip():
        sign = ast.get_docstring(tree)
        assert sign, "say in a docstring what this module is for, who calls it, what it ignores"
    for function in functions(tree):
        length = (function.end_lineno or function.lineno) - function.lineno + 1
        assert length <= FUNCTION_LINES_MAX, f"{function.name} has {length} lines"


@pytest.mark.parametrize("path", sources(), ids=relative)
def test_time_and_chance_come_in_through_the_door(path: Path) -> None:
    """Only clocks and composition roots read the machine's time."""
    if relative(path).endswith(("runtime/clock.py", "billfleet_producers/preparing.py")):
        return
    found = re.findall(r"datetime\.(?:utcnow|now)\(|date\.today\(|time\.time\(", path.read_text())
    if relative(path).startswith("ops/"):
        # Commands are composition roots: they may read the clock, but always an aware one.
        found = [call for call in found if call != "datetime.now("]
    assert not found, f"take a clock as an argument instead of calling {found}"


@pytest.mark.parametrize("path", sources(), ids=relative)
def test_nothing_is_left_open(path: Path) -> None:
    open_ends = re.findall(r"\b(?:TODO|FIXME|XXX)\b|NotImplementedError", path.read_text())
    assert not open_ends


def test_every_lint_exception_gives_its_reason() -> None:
    bare = [
        f"{relative(path)}:{number}"
        for path in sources()
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if re.search(r"#\s*noqa(?::\s*[A-Z0-9, ]+)?\s*$", line)
        or re.search(r"#\s*type:\s*ignore(?:\[[^]]*\])?\s*$", line)
    ]
    assert not bare, f"write why beside each exception: {bare}"


def test_lock_files_pin_with_hashes_and_name_no_index() -> None:
    for name in ("run.lock", "dev.lock"):
        text = (ROOT / "requirements" / name).read_text()
        assert "--hash=sha256:" in text
        assert not re.search(r"https?://|--index-url|--extra-index-url|--find-links", text)


def test_no_machine_path_or_secret_is_committed() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout
    names = [name for name in listed.split("\0") if name] or [relative(p) for p in sources()]
    secret = re.compile(r"AKIA[0-9A-Z]{16}|sk_live_[0-9a-zA-Z]{8,}|-----BEGIN [A-Z ]*PRIVATE KEY")
    home = re.compile(r"/(?:home|Users|root)/[a-z]")
    for name in names:
        path = ROOT / name
        if path.suffix not in {".py", ".md", ".yaml", ".toml", ".json", ".sql", ""}:
            continue
        if not path.is_file():
            continue
        text = path.read_text(errors="replace")
        assert not secret.search(text), name
        assert not home.search(text), name


def test_each_decision_has_a_number_of_its_own() -> None:
    decisions = sorted((ROOT / "ops/decisions").glob("*.md"))
    numbers = [path.name.partition("-")[0] for path in decisions]
    assert len(set(numbers)) == len(numbers), numbers
    for path, number in zip(decisions, numbers, strict=True):
        assert path.read_text().startswith(f"# {int(number)}. "), path.name
