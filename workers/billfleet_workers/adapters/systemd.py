"""Tells systemd how the process is: ready, alive, stopping.

The fleet calls it when `NOTIFY_SOCKET` is set (a unit of `Type=notify`); otherwise nothing happens.
It sends the datagrams of sd_notify(3) and knows nothing of workers.
"""

import contextlib
import socket
from collections.abc import Mapping


class Systemd:
    """The notify socket of this process's unit, if it has one."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._address = environ.get("NOTIFY_SOCKET", "")

    def ready(self, status: str) -> None:
        """Start-up is over."""
        self._send(f"READY=1\nSTATUS={status}")

    def beat(self) -> None:
        """There is progress; the watchdog may wait another round."""
        self._send("WATCHDOG=1")

    def stopping(self) -> None:
        """The process drains."""
        self._send("STOPPING=1\nSTATUS=draining")

    def _send(self, state: str) -> None:
        if not self._address:
            return
        # An address that begins with @ is in the abstract namespace.
        address = "\0" + self._address[1:] if self._address[0] == "@" else self._address
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as out:
            out.settimeout(0)
            out.sendto(state.encode(), address)
