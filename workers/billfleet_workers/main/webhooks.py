"""May a webhook go there? For commands, which may not know adapters.

`billfleet webhooks add` asks before it records an address. The worker asks again at every try.
"""

from billfleet_workers.adapters.webhook_targets import check_url
from billfleet_workers.runtime.ports.webhooks import TargetRefused
from billfleet_workers.settings import Settings

__all__ = ["TargetRefused", "check_target"]


def check_target(settings: Settings, url: str) -> None:
    """Raise TargetRefused where the address itself says that it may not be called."""
    check_url(url, to_loopback=settings.webhooks_to_loopback)
