"""Runs one server and stops it when the process that asked for it is gone.

`local.process` starts this file as a script (`python -I tether.py …`), with a pipe as its
standard input. The pipe closes when the owner stops the server, exits, or is killed with
kill -9: then the server gets its stop signals, one after another, and nothing is orphaned.
It uses the standard library only and knows nothing of PostgreSQL, AWS or billfleet.
"""

import argparse
import json
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

PARENT_CHECK_S = 1.0


def main(argv: list[str]) -> int:
    """Run the command after `--`; return its exit code as a shell would."""
    options = _options(argv)
    woken_by, wakes = os.pipe()
    os.set_blocking(wakes, False)
    signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, lambda *_: None)
    server = _start(options)
    _write_pid(options.pid_file, server.pid)
    try:
        _wait_for_owner_or_server(server, woken_by)
        _stop(server, woken_by, options.stop, options.grace_s)
    finally:
        options.pid_file.unlink(missing_ok=True)
    return server.returncode if server.returncode >= 0 else 128 - server.returncode


def _options(argv: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="tether")
    parser.add_argument("--pid-file", type=Path, required=True)
    parser.add_argument("--stop", type=lambda text: text.split(","), required=True)
    parser.add_argument("--grace-s", type=float, required=True)
    parser.add_argument("--user", type=int)
    parser.add_argument("command", nargs="+")
    return parser.parse_args(argv)


def _start(options: argparse.Namespace) -> subprocess.Popen[bytes]:
    if options.user is None:
        return subprocess.Popen(options.command, stdin=subprocess.DEVNULL, process_group=0)
    return subprocess.Popen(
        options.command,
        stdin=subprocess.DEVNULL,
        process_group=0,
        user=options.user,
        group=options.user,
        extra_groups=[],
    )


def _write_pid(path: Path, pid: int) -> None:
    written = path.with_suffix(".new")
    written.write_text(json.dumps({"pid": pid, "tether": os.getpid()}))
    written.replace(path)


def _wait_for_owner_or_server(server: subprocess.Popen[bytes], woken_by: int) -> None:
    owner = os.getppid()
    while server.poll() is None and os.getppid() == owner:
        readable, _, _ = select.select([0, woken_by], [], [], PARENT_CHECK_S)
        if 0 in readable and not os.read(0, 1024):
            return
        if woken_by in readable and _asked_to_stop(os.read(woken_by, 1024)):
            return


def _asked_to_stop(numbers: bytes) -> bool:
    return any(number != signal.SIGCHLD for number in numbers)


def _stop(server: subprocess.Popen[bytes], woken_by: int, names: list[str], grace_s: float) -> None:
    for name in names:
        if server.poll() is not None:
            return
        number = signal.Signals[f"SIG{name}"]
        if number is signal.SIGKILL:
            os.killpg(server.pid, number)
        else:
            server.send_signal(number)
        _wait(server, woken_by, grace_s)
    server.wait()


def _wait(server: subprocess.Popen[bytes], woken_by: int, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while server.poll() is None and (left := deadline - time.monotonic()) > 0:
        readable, _, _ = select.select([woken_by], [], [], min(left, PARENT_CHECK_S))
        if readable:
            os.read(woken_by, 1024)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
