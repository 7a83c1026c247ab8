"""The journal of a dead-letter queue: what replay has begun and finished, message by message.

`run` writes `sending` before it sends and `sent` before it deletes, each forced to the disk, so
that after a crash at any point the next run knows: sent means delete only; sending without sent
means that nobody knows. One file per dead-letter queue under BILLFLEET_HOME/replay, one JSON
object a line, appended to by all runs; another process's lines are read as they come.
"""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Self

from billfleet_ops.errors import file_errors_mapped

Step = Literal["sending", "sent", "not-sent", "edited", "purged"]
_STATES = {"sending", "sent", "not-sent"}


class Journal:
    """Steps by message id. Open it with `Journal.open`."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor
        self._read_to = 0
        self._steps: dict[str, str] = {}

    @classmethod
    def open(cls, home: Path, queue_name: str, queue_url: str) -> Self:
        """The journal of this queue, created when there is none."""
        digest = hashlib.sha256(queue_url.encode()).hexdigest()[:8]
        safe = re.sub(r"[^\w.-]+", "-", queue_name)
        path = home.expanduser().absolute() / "replay" / f"{safe}-{digest}.jsonl"
        with file_errors_mapped(path):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            # A+: every line goes to the end in one write, whoever else writes.
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        journal = cls(path, descriptor)
        journal._mend()
        journal.refresh()
        return journal

    def _mend(self) -> None:
        """A line that a crash cut short is ended, so that the next one stands alone."""
        size = os.fstat(self._descriptor).st_size
        if size and os.pread(self._descriptor, 1, size - 1) != b"\n":
            os.write(self._descriptor, b"\n")

    def step_of(self, message_id: str) -> str | None:
        """How far the message got; None if it was never begun, or is known not to be sent."""
        step = self._steps.get(message_id)
        return None if step == "not-sent" else step

    def refresh(self) -> None:
        """Read what was written since, by us or by others."""
        with file_errors_mapped(self.path):
            size = os.fstat(self._descriptor).st_size
            while self._read_to < size:
                chunk = os.pread(self._descriptor, 8 * 1024 * 1024, self._read_to)
                whole, ended, _ = chunk.rpartition(b"\n")
                if not ended:
                    return
                self._read_to += len(whole) + 1
                for line in whole.split(b"\n"):
                    self._take(line)

    def _take(self, line: bytes) -> None:
        try:
            entry = json.loads(line)
            message_id, step = str(entry["message_id"]), str(entry["step"])
        except (ValueError, KeyError, TypeError):
            return  # cut short by a crash
        if step in _STATES:
            self._steps[message_id] = step

    def write(
        self,
        step: Step,
        message_ids: Iterable[str],
        *,
        run: str,
        now: datetime,
        details: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        """Append one line per message and force them to the disk."""
        lines = []
        for message_id in message_ids:
            entry = {"at": now.isoformat(), "run": run, "step": step, "message_id": message_id}
            lines.append(json.dumps(entry | dict((details or {}).get(message_id, {}))))
            if step in _STATES:
                self._steps[message_id] = step
        if not lines:
            return
        with file_errors_mapped(self.path):
            data = ("\n".join(lines) + "\n").encode()
            while data:
                data = data[os.write(self._descriptor, data) :]
            os.fsync(self._descriptor)

    def close(self) -> None:
        """Close the file."""
        os.close(self._descriptor)
