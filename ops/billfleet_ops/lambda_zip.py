"""The zip of a Lambda function: our packages and what they require, as installed here.

`billfleet package lambda` makes it. What is packed is what was tested: the very files of this
environment, for this platform and Python. The same environment gives the same bytes.
"""

import re
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from billfleet_ops.errors import OpsError, file_errors_mapped

OURS = ("billfleet_contracts", "billfleet_producers", "billfleet_db", "billfleet_workers")
ROOTS = ("billfleet", "billfleet-producers", "billfleet-contracts")
ALSO = ("httptools",)
"""What the lean client reads answers with; elsewhere it comes along with the web server."""
ONLY_COMMANDS = ("rich", "typer", "uvicorn", "fastapi")
UNPACKED_BYTES_MAX = 250 * 2**20
"""What Lambda takes, layers included."""
AWS_SERVICES = {"sqs", "sns", "dynamodb", "sts", "s3", "sesv2"}
"""Of the four hundred whose descriptions botocore brings along."""
EPOCH = (1980, 1, 1, 0, 0, 0)
_NAME = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)\s*(?:\[(?P<extras>[^]]*)\])?")
_EXTRA = re.compile(r"""extra\s*==\s*['"]([^'"]+)""")
DESCRIPTION_DEPTH = 3
"""Below `botocore/data/<service>`."""
_LEFT_OUT_PARTS = {"__pycache__", "tests", "test", "bin"}


class TooLarge(OpsError):
    """Lambda would refuse the zip. Leave out what this worker does not use."""


@dataclass(frozen=True)
class Packed:
    """What was written."""

    path: Path
    distributions: tuple[str, ...]
    unpacked_bytes: int
    zipped_bytes: int


def pack(
    path: Path, *, leave_out: Sequence[str] = (), bytes_max: int = UNPACKED_BYTES_MAX
) -> Packed:
    """Write the zip, if what is in it is not larger than `bytes_max`."""
    out = {_normal(name) for name in (*leave_out, *ONLY_COMMANDS)}
    found = _closure(out)
    files = dict(sorted([*_our_files(), *_files_of(found)]))
    unpacked = sum(file.stat().st_size for file in files.values())
    if unpacked > bytes_max:
        sizes = f"{unpacked / 2**20:.0f} MiB; Lambda takes {bytes_max / 2**20:.0f}"
        raise TooLarge(
            f"The function would be {sizes}",
            where=str(path),
            remedy=f"Leave out what the worker does not use: {', '.join(_largest(found))}.",
        )
    with file_errors_mapped(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, file in files.items():
                info = zipfile.ZipInfo(name, EPOCH)
                info.external_attr = 0o644 << 16
                info.compress_type = zipfile.ZIP_DEFLATED
                archive.writestr(info, file.read_bytes())
    named = tuple(f"{one.metadata['Name']}=={one.version}" for one in found.values())
    return Packed(path, named, unpacked, path.stat().st_size)


def _closure(out: set[str]) -> dict[str, Distribution]:
    """Everything that our distributions require, with the extras that are asked for."""
    found: dict[str, Distribution] = {}
    seen: set[tuple[str, str]] = set()
    waiting = [(name, "") for name in (*ROOTS, *ALSO)]
    while waiting:
        name, extra = wanted = waiting.pop()
        if wanted in seen or name in out:
            continue
        seen.add(wanted)
        try:
            found[name] = distribution(name)
        except PackageNotFoundError:
            # For another platform or Python, by its marker.
            continue
        for line in found[name].requires or []:
            waiting += _required(line, extra)
    return {name: one for name, one in sorted(found.items()) if name not in ROOTS}


def _required(line: str, extra: str) -> list[tuple[str, str]]:
    """The distribution of a requirement, once for itself and once for each extra of it."""
    requirement, _, marker = line.partition(";")
    condition = _EXTRA.search(marker)
    if (condition[1] if condition else "") != extra:
        return []
    match = _NAME.match(requirement.strip())
    if match is None:
        return []
    extras = (match["extras"] or "").split(",")
    return [(_normal(match["name"]), one.strip()) for one in {"", *extras}]


def _files_of(found: dict[str, Distribution]) -> Iterator[tuple[str, Path]]:
    for one in found.values():
        for file in one.files or ():
            parts = set(file.parts)
            if _is_needed(file.parts) and not parts & _LEFT_OUT_PARTS and file.suffix != ".pyc":
                yield file.as_posix(), Path(str(file.locate()))


def _is_needed(parts: Sequence[str]) -> bool:
    is_description = parts[:2] == ("botocore", "data") and len(parts) > DESCRIPTION_DEPTH
    return ".." not in parts and (not is_description or parts[2] in AWS_SERVICES)


def _our_files() -> Iterator[tuple[str, Path]]:
    for name in OURS:
        package = Path(next(iter(import_module(name).__path__)))
        for file in package.rglob("*"):
            if file.is_file() and "__pycache__" not in file.parts:
                yield f"{name}/{file.relative_to(package).as_posix()}", file


def _largest(found: dict[str, Distribution]) -> list[str]:
    sizes = {name: sum(file.size or 0 for file in one.files or ()) for name, one in found.items()}
    return sorted(sizes, key=lambda name: -sizes[name])[:4]


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
