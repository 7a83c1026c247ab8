"""The event log of one schedule, for reading.

Simulated services, workers and the runtime's own log lines tell it what happens; a failing seed
prints it. While a schedule is only searched for, nobody listens and telling costs next to nothing.
"""

from collections.abc import Callable


class Story:
    """Lines of what happened, each with its moment and its teller."""

    def __init__(self, time_s: Callable[[], float], *, is_told: bool) -> None:
        self._time_s = time_s
        self.is_told = is_told
        self.lines: list[tuple[float, str, str, str]] = []

    def tell(self, who: str, what: str, detail: object = "") -> None:
        """Add a line, if anybody listens."""
        if self.is_told:
            self.lines.append((self._time_s(), who, what, str(detail)))

    def __str__(self) -> str:
        return "\n".join(
            f"{at_s:9.3f}  {who:<8}  {what:<18}  {detail}".rstrip()
            for at_s, who, what, detail in self.lines
        )
