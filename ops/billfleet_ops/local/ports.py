"""Chooses loopback ports for the embedded servers.

`home` asks for a port and remembers the answer. Ports lie below the range from which the
kernel takes outgoing ports (32768 on Linux), because a fixed port inside it is sooner or
later taken by somebody's connection. It knows no server.
"""

import socket
import zlib
from collections.abc import Container

LOWEST = 20_000
HIGHEST = 32_000


def is_free(port: int) -> bool:
    """Whether a server could listen on this loopback port now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def choose(seed: str, *, avoid: Container[int] = ()) -> int:
    """A free port, the same one for the same `seed` as long as it stays free."""
    span = HIGHEST - LOWEST
    first = zlib.crc32(seed.encode()) % span
    for step in range(span):
        port = LOWEST + (first + step) % span
        if port not in avoid and is_free(port):
            return port
    raise OSError(f"no free port between {LOWEST} and {HIGHEST}")
