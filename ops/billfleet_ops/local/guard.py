"""Watches the embedded servers while the fleet runs, and starts again what ended by itself.

`billfleet up` runs it in a thread beside the fleet. A server that ends again and again is not
nursed: the guard gives up, which stops the fleet, and the command ends with the reason. It knows
no server's protocol.
"""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Protocol

from billfleet_ops.errors import NotReady, OpsError

LOOK_EVERY_S = 0.5
REVIVALS_MAX = 3
WITHIN_S = 60.0


class Watched(Protocol):
    """A server as the guard sees it."""

    @property
    def name(self) -> str:
        """What people call it."""
        ...

    def is_alive(self) -> bool:
        """Whether its process runs."""
        ...

    def revive(self) -> str:
        """Start it again; returns what may be lost, in a sentence for an operator."""
        ...


class Guard:
    """Keeps servers alive; `reason` says why it gave up, when it did."""

    def __init__(
        self,
        servers: Sequence[Watched],
        *,
        say: Callable[[str], None],
        give_up: Callable[[], None],
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.reason: OpsError | None = None
        self._servers = servers
        self._say = say
        self._give_up = give_up
        self._monotonic = monotonic
        self._revived_at: dict[str, list[float]] = {}

    @contextmanager
    def watching(self, every_s: float = LOOK_EVERY_S) -> Iterator[None]:
        """Look again and again for the duration of the block."""
        over = threading.Event()

        def watch() -> None:
            while self.reason is None and not over.wait(every_s):
                self.look()

        thread = threading.Thread(target=watch, name="guard", daemon=True)
        thread.start()
        try:
            yield
        finally:
            over.set()
            thread.join()

    def look(self) -> None:
        """Start again whatever has ended."""
        for server in self._servers:
            if self.reason is None and not server.is_alive():
                self._revive(server)

    def _revive(self, server: Watched) -> None:
        now = self._monotonic()
        recent = [at for at in self._revived_at.get(server.name, []) if now - at < WITHIN_S]
        self._revived_at[server.name] = [*recent, now]
        try:
            if len(recent) >= REVIVALS_MAX:
                raise NotReady(
                    f"{server.name} ended {len(recent) + 1} times within {WITHIN_S:.0f} s",
                    where="the embedded stack",
                    remedy="Its server.log in BILLFLEET_HOME says why; is the disk or memory full?",
                )
            self._say(f"{server.name} ended by itself and is started again.")
            lost = server.revive()
        except OpsError as error:
            self.reason = error
            self._give_up()
        else:
            self._say(f"{server.name} is back. {lost}")
