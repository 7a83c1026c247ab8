"""The quota port: a rate limit that the whole fleet shares, for what others limit.

Payment gateways and mail services allow so many calls a second, whoever makes them. An adapter that
calls one takes a permit first. It never lets more through than the rate says in one of its windows
of a second; it may let less through when a process dies with permits in hand.
"""

from typing import Protocol


class Quota(Protocol):
    """Permits by name."""

    async def take(self, name: str) -> float:
        """Take one permit: 0.0 when it is ours, else after how many seconds to ask again.

        Raises:
            Unavailable: nobody can say; do not call.
        """
        ...
