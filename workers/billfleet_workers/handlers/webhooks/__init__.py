"""The webhooks worker: what the fleet announces, told to the endpoints that tenants named.

`fan_out` turns an announcement into deliveries, `deliver` brings one to its endpoint.
"""

from billfleet_workers.handlers.webhooks.deliver import DeliverHandler
from billfleet_workers.handlers.webhooks.fan_out import FanOutHandler

__all__ = ["DeliverHandler", "FanOutHandler"]
