"""botocore's credentials for an event loop.

botocore knows every place that credentials come from (variables, files, SSO, processes, roles,
containers, instances), and asks each of them in a blocking way. What may have to ask is asked in a
thread here, so that no SDK for event loops is needed for that. It must not know what is signed.
"""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from billfleet_producers.lean.sigv4 import Keys


class Session(Protocol):
    """What is asked of botocore's session."""

    def get_credentials(self) -> Any:
        """The first that botocore finds; None where there are none."""


class ThreadedCredentials:
    """Those of now at once while they hold; renewed in a thread when they will soon expire."""

    def __init__(self, credentials: Any) -> None:
        self._credentials = credentials
        # Only those that expire have it.
        self._expires_soon = getattr(credentials, "refresh_needed", None)

    @classmethod
    async def find(cls, session: Session) -> ThreadedCredentials | None:
        """Ask botocore, which may ask the network."""
        found = await asyncio.to_thread(session.get_credentials)
        return None if found is None else cls(found)

    async def get_frozen_credentials(self) -> Keys:
        """Those of now. While one call renews them, others go on with the old ones.

        Raises:
            BotoCoreError, ClientError, RuntimeError: they have expired and can't be renewed.
        """
        if self._expires_soon is not None and self._expires_soon():
            return await asyncio.to_thread(self._freeze)
        return self._freeze()

    def _freeze(self) -> Keys:
        keys: Keys = self._credentials.get_frozen_credentials()
        return keys
