"""No sweep is left without a clock, and no clock runs a sweep that is gone."""

import typer

from billfleet_ops.cli import build
from billfleet_ops.schedules import SCHEDULES
from billfleet_workers.main.fleet_permissions import SWEEPS


def test_every_sweep_of_the_command_line_has_a_schedule_and_the_other_way_round() -> None:
    command = typer.main.get_command(build("sweep"))
    sweeps = set(command.commands["sweep"].commands)  # type: ignore[attr-defined] # a group, by its name
    assert {schedule.sweep for schedule in SCHEDULES} == sweeps
    assert set(SWEEPS) <= sweeps
