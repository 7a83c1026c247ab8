"""What Stripe's webhooks say, for the front door, which may not know adapters.

`billfleet gateway` imports it only where Stripe may call, because it brings Stripe's SDK.
"""

from billfleet_workers.adapters.stripe_webhook import WebhookRefused, read_webhook, tenant_of_key

__all__ = ["WebhookRefused", "read_webhook", "tenant_of_key"]
