"""The certificates port: the certificate that a notification says it was signed with.

The feedback worker asks, after it has looked at the address. An adapter keeps what it has fetched;
it must not decide whom to trust.
"""

from typing import Protocol


class Certificates(Protocol):
    """Certificates by address."""

    async def get(self, url: str) -> bytes:
        """The certificate in PEM form.

        Raises:
            Unavailable: it can't be had now.
        """
        ...

    async def close(self) -> None:
        """Let go of connections. Safe to call twice."""
        ...
