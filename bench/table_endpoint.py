"""The table endpoint that dedupes at the speed of the queue endpoint, in a process of its own.

`queue_arena.py` starts it, or ministack in its place. ministack does far more of DynamoDB, but
takes a third of a millisecond a statement: it would be the stand-in that is measured, and a
consumer that waits for it most of the time. What this one answers is in
`peers/table_endpoint.mjs`; it was put through the conformance suite of the dedupe port.
"""

import json
import subprocess

from peer_homes import PEERS, NodeHome


class QuickTables:
    """The running endpoint."""

    def __init__(self, node: NodeHome) -> None:
        self._command = [str(node.binary), str(PEERS / "table_endpoint.mjs"), "0"]
        self._server: subprocess.Popen[str] | None = None
        self.port = 0

    @property
    def endpoint_url(self) -> str:
        """Where it answers."""
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start it; it is ready afterwards."""
        pipe = subprocess.PIPE
        self._server = subprocess.Popen(self._command, stdin=pipe, stdout=pipe, text=True)
        assert self._server.stdout is not None
        self.port = int(json.loads(self._server.stdout.readline())["port"])

    def stop(self) -> None:
        """End it."""
        if self._server is not None and self._server.stdin is not None:
            self._server.stdin.close()
            self._server.wait(timeout=10)
            if self._server.stdout is not None:
                self._server.stdout.close()
