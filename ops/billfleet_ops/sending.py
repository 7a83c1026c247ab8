"""One event from a command to its queue, through the thin producer library.

Commands that ask the fleet for something call it. Errors leave in an operator's words.
"""

from billfleet_contracts import Event
from billfleet_contracts.errors import ContractError
from billfleet_ops.errors import ConfigurationWrong, DependencyUnreachable, OpsError, UsageWrong
from billfleet_producers import SyncProducer
from billfleet_producers.errors import EndpointUnreachable, ProducerError
from billfleet_workers.settings import Settings


def send_event(settings: Settings, event: Event, *, tenant: str, source: str) -> None:
    """Enqueue the event for a tenant.

    Raises:
        UsageWrong: the tenant's id is none.
        DependencyUnreachable, ConfigurationWrong, OpsError: it was not enqueued.
    """
    try:
        with SyncProducer(
            stack=settings.stack,
            source=source,
            region=settings.aws_region,
            endpoint_url=settings.aws_endpoint_url,
        ) as producer:
            producer.send(event, tenant=tenant)
    except ContractError as error:
        raise UsageWrong(
            f"This can't be sent: {error.reason}", where=error.where, remedy="Correct the argument."
        ) from error
    except ProducerError as error:
        kind: type[OpsError] = ConfigurationWrong
        if error.retriable or isinstance(error, EndpointUnreachable):
            kind = DependencyUnreachable
        raise kind(
            f"It was not enqueued: {error.why}",
            where=f"stack {settings.stack}",
            remedy="Run `billfleet doctor`; it looks at everything that the fleet needs.",
        ) from error
