"""The addresses that mails carry, signed so that the gateway knows its own.

The handler makes them with the secrets that `main` gives it. Without a secret there are none:
mails then go out without downloads, and marketing does not go out at all. Pure.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from billfleet_contracts.links import make_link

UNSUBSCRIBE_LIFE: Final = timedelta(days=3650)
"""A mail lies in a mailbox for years, and its reader may have had enough at any time."""


@dataclass(frozen=True, slots=True)
class Links:
    """Makes links to the gateway."""

    base_url: str
    secrets: tuple[str, ...]

    @property
    def can_be_made(self) -> bool:
        """Whether there is a secret to sign with."""
        return bool(self.secrets)

    def file(self, tenant: str, file_id: str, expires_at: datetime) -> str | None:
        """Opens a file of the tenant until it expires."""
        if not self.can_be_made:
            return None
        return make_link(
            self.base_url,
            self.secrets,
            kind="file",
            tenant=tenant,
            subject=file_id,
            expires_at=expires_at,
        )

    def unsubscribe(self, tenant: str, customer_id: str, now: datetime) -> str:
        """Ends marketing for one customer, by one POST and not by a GET (R53)."""
        return make_link(
            self.base_url,
            self.secrets,
            kind="unsubscribe",
            tenant=tenant,
            subject=f"marketing:{customer_id}",
            expires_at=now + UNSUBSCRIBE_LIFE,
        )
