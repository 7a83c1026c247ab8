"""An embedded server that ends by itself is started again, and not for ever."""

import threading
from dataclasses import dataclass, field

from billfleet_ops.errors import DiskFull, OpsError
from billfleet_ops.local.guard import REVIVALS_MAX, WITHIN_S, Guard


@dataclass
class Server:
    """A server that is as alive as the test says."""

    name: str = "PostgreSQL"
    alive: bool = True
    stays_up: bool = True
    refuses_with: OpsError | None = None
    revivals: int = 0

    def is_alive(self) -> bool:
        return self.alive

    def revive(self) -> str:
        if self.refuses_with is not None:
            raise self.refuses_with
        self.revivals += 1
        self.alive = self.stays_up
        return "Nothing is lost."


@dataclass
class Room:
    """A guard with everything around it in memory."""

    servers: list[Server]
    said: list[str] = field(default_factory=list)
    gave_up: int = 0
    given_up: threading.Event = field(default_factory=threading.Event)
    now_s: float = 0.0

    def __post_init__(self) -> None:
        self.guard = Guard(
            self.servers, say=self.said.append, give_up=self.give_up, monotonic=lambda: self.now_s
        )

    def give_up(self) -> None:
        self.gave_up += 1
        self.given_up.set()


def test_a_living_server_is_left_alone() -> None:
    room = Room([Server()])
    room.guard.look()
    assert (room.servers[0].revivals, room.said) == (0, [])


def test_a_dead_server_is_started_again_and_the_operator_is_told_what_is_lost() -> None:
    room = Room([Server(), Server("The AWS endpoint", alive=False)])
    room.guard.look()
    assert [server.revivals for server in room.servers] == [0, 1]
    assert room.said == [
        "The AWS endpoint ended by itself and is started again.",
        "The AWS endpoint is back. Nothing is lost.",
    ]
    assert room.guard.reason is None


def test_a_server_that_ends_again_and_again_stops_the_fleet() -> None:
    room = Room([Server(alive=False, stays_up=False)])
    for _ in range(REVIVALS_MAX + 3):
        room.guard.look()
    assert room.servers[0].revivals == REVIVALS_MAX
    assert room.gave_up == 1
    assert room.guard.reason is not None
    assert "ended 4 times" in room.guard.reason.what


def test_a_server_that_ends_once_in_a_while_is_started_every_time() -> None:
    room = Room([Server(alive=False, stays_up=False)])
    for _ in range(REVIVALS_MAX + 3):
        room.guard.look()
        room.now_s += WITHIN_S / REVIVALS_MAX
    assert room.servers[0].revivals == REVIVALS_MAX + 3
    assert room.gave_up == 0


def test_a_server_that_cannot_be_started_stops_the_fleet_with_its_reason() -> None:
    full = DiskFull("No space is left on the disk", where="/data", remedy="Free some.")
    room = Room([Server(alive=False, refuses_with=full)])
    room.guard.look()
    room.guard.look()
    assert room.guard.reason is full
    assert room.gave_up == 1


def test_watching_looks_until_the_block_ends() -> None:
    room = Room([Server(alive=False, refuses_with=OpsError("a", where="b", remedy="c"))])
    with room.guard.watching(every_s=0.001):
        assert room.given_up.wait(timeout=10)
    assert room.gave_up == 1
