"""A small service manager: what systemd does for a unit of Type=notify, on any machine.

It listens on a notify socket, starts a command, waits for READY, expects WATCHDOG in time and
kills what is silent, starts again what ended unasked, and asks to stop by SIGTERM. Tests drive it;
nothing in the product knows it.
"""

import asyncio
import os
import signal
import socket
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

DATAGRAM_BYTES = 4096


class ServiceManager:
    """Use as `async with ServiceManager(command, environment) as unit`."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], *, watchdog_s: float = 60
    ) -> None:
        self._command = command
        self._environment = dict(environment)
        self._watchdog_s = watchdog_s
        self._folder = tempfile.TemporaryDirectory(prefix="billfleet-notify-")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.settimeout(0)
        self._is_stopping = False
        self.process: asyncio.subprocess.Process | None = None
        self.heard: list[str] = []
        self.restarts = 0

    async def __aenter__(self) -> Self:
        address = str(Path(self._folder.name) / "notify")
        self._socket.bind(address)
        self._environment["NOTIFY_SOCKET"] = address
        await self._start()
        return self

    async def __aexit__(self, *_exc: object) -> None:
        self._is_stopping = True
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()
        self._socket.close()
        self._folder.cleanup()

    async def _start(self) -> None:
        self.process = await asyncio.create_subprocess_exec(
            *self._command,
            env=self._environment,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )

    async def until(self, word: str, *, within_s: float = 30) -> str:
        """Wait for a notification that begins with the word."""
        loop = asyncio.get_running_loop()
        async with asyncio.timeout(within_s):
            while True:
                state = (await loop.sock_recv(self._socket, DATAGRAM_BYTES)).decode()
                self.heard.append(state)
                if state.startswith(word):
                    return state

    async def supervise_once(self) -> str:
        """Act as Restart=always and WatchdogSec do, until something happened: returns what."""
        assert self.process is not None
        ended = asyncio.ensure_future(self.process.wait())
        while True:
            beat = asyncio.ensure_future(self.until("WATCHDOG=1", within_s=self._watchdog_s))
            await asyncio.wait([ended, beat], return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                beat.cancel()
                await asyncio.gather(beat, return_exceptions=True)
                return await self._restart("ended")
            if beat.exception() is not None:
                self.process.send_signal(signal.SIGABRT)
                self.process.send_signal(signal.SIGCONT)
                await ended
                return await self._restart("watchdog")

    async def _restart(self, why: str) -> str:
        self.restarts += 1
        await self._start()
        return why

    async def stop(self, *, within_s: float = 30) -> int:
        """SIGTERM, and the exit code."""
        assert self.process is not None
        self.process.terminate()
        async with asyncio.timeout(within_s):
            await self.until("STOPPING=1")
            return await self.process.wait()

    def kill(self) -> None:
        """As the kernel does when memory is short."""
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGKILL)

    def freeze(self) -> None:
        """A process that hangs."""
        assert self.process is not None
        os.kill(self.process.pid, signal.SIGSTOP)
