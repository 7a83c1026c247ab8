"""CPU seconds of processes: what a server and all its children used between two moments.

Benchmarks of the fleet use it. It reads counters of the operating system and knows nothing of
what the processes do.
"""

import os
import subprocess

import psutil


class CpuMeter:
    """Named processes, each with the children that it has or had."""

    def __init__(self, **pids: int | None) -> None:
        self._processes = {
            name: psutil.Process(pid) for name, pid in pids.items() if pid is not None
        }
        self._before: dict[str, float] = {}

    def start(self) -> None:
        """Remember the counters of now."""
        self._before = {name: _used_s(process) for name, process in self._processes.items()}

    def stop(self) -> dict[str, float]:
        """CPU seconds since `start`, by name."""
        return {
            name: _used_s(process) - self._before[name] for name, process in self._processes.items()
        }


def cpu_of_child(child: "subprocess.Popen[bytes]") -> tuple[int, float]:
    """Wait for a child to end; returns its exit code and the CPU seconds that it used."""
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    return child.returncode, usage.ru_utime + usage.ru_stime


def _used_s(process: psutil.Process) -> float:
    """User and system time of the process, its living children, and those that have ended."""
    total_s = 0.0
    for member in (process, *process.children(recursive=True)):
        try:
            times = member.cpu_times()
        except psutil.NoSuchProcess:
            continue
        total_s += times.user + times.system + times.children_user + times.children_system
    return total_s
