"""Editing a body: the text in an editor, the contract's word on it, and the difference.

`edit` uses it. JSON is laid out for reading and packed again afterwards. The editor is the one
thing here that is not pure; it is passed in.
"""

import difflib
import json
import os
import shlex
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path

from billfleet_contracts import CATALOGUE, Catalogue, ContractError, decode
from billfleet_ops.errors import ConfigurationWrong

Editor = Callable[[str], str]


def for_reading(body: str) -> str:
    """JSON over several lines; anything else as it is."""
    try:
        return json.dumps(json.loads(body), indent=2, ensure_ascii=False) + "\n"
    except (ValueError, RecursionError):
        return body


def packed(text: str) -> str:
    """JSON on one line; anything else as it is."""
    try:
        return json.dumps(json.loads(text), separators=(",", ":"), ensure_ascii=False)
    except (ValueError, RecursionError):
        return text


def objection(body: str, catalogue: Catalogue = CATALOGUE) -> str | None:
    """What the contract has against this body, or None."""
    try:
        decode(body, catalogue)
    except ContractError as error:
        return str(error)
    return None


def difference(before: str, after: str) -> str:
    """A unified diff of both, laid out for reading."""
    lines = difflib.unified_diff(
        for_reading(before).splitlines(),
        for_reading(after).splitlines(),
        "before",
        "after",
        lineterm="",
    )
    return "\n".join(lines)


def editor_of_the_environment(text: str) -> str:
    """Open $VISUAL or $EDITOR on the text and return what was saved."""
    command = os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi"
    with tempfile.TemporaryDirectory(prefix="replay-dlq-") as folder:
        path = Path(folder) / "body.json"
        path.write_text(text, encoding="utf-8")
        try:
            subprocess.run([*shlex.split(command), str(path)], check=True)
            return path.read_text(encoding="utf-8")
        except (OSError, subprocess.CalledProcessError, UnicodeDecodeError) as error:
            raise ConfigurationWrong(
                f"The editor did not do its work: {error}",
                where=command,
                remedy="Set EDITOR to an editor that waits until the file is closed.",
            ) from error
