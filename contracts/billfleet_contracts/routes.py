"""Where messages travel: routes, and the queues and topics behind them with their settings.

Used by the catalogue, the producer library, the workers and the stack template's check. This is
vocabulary only: it must not know any event or any AWS client.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

DLQ_RETENTION_S = 14 * 24 * 3600

Form = Literal["envelope", "sns", "s3"]
"""What a queue's bodies look like: our envelope, or what Amazon SNS or S3 itself writes."""


@dataclass(frozen=True, slots=True)
class Route:
    """A queue or a topic by its logical name, the same in every stack."""

    kind: Literal["queue", "topic"]
    name: str

    def physical_name(self, stack: str) -> str:
        """The name in AWS: `<stack>-<name>`."""
        return f"{stack}-{self.name}"


@dataclass(frozen=True, slots=True)
class Subscription:
    """What a queue hears of a topic: the event types that it wants, or all of them when empty.

    `types` become the filter policy on the attribute `type`, so that SNS drops the rest.
    """

    topic: str
    types: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class QueueSpec:
    """A queue, the worker that reads it, its settings, and the topics that it hears.

    `group` says what MessageGroupId is made of: `tenant` gives each tenant its fair share,
    `subject` orders the messages about one subject of one tenant. `form` says what its bodies
    look like; `forms.decoder_of` reads them. In a foreign form they come from the topic or the
    bucket that is called like the queue. `retry_cap_s` is the longest wait between two tries.
    """

    name: str
    worker: str
    fifo: bool = False
    visibility_timeout_s: int = 60
    max_receive_count: int = 10
    retention_s: int = 14 * 24 * 3600
    group: Literal["tenant", "subject"] = "tenant"
    subscribes: tuple[Subscription, ...] = ()
    form: Form = "envelope"
    retry_cap_s: int = 900

    @property
    def dlq_name(self) -> str:
        """The logical name of its dead-letter queue; FIFO names end in `.fifo`, as SQS asks."""
        if self.fifo:
            return f"{self.name.removesuffix('.fifo')}-dlq.fifo"
        return f"{self.name}-dlq"

    def physical_name(self, stack: str) -> str:
        """The queue's name in AWS."""
        return f"{stack}-{self.name}"

    def dlq_physical_name(self, stack: str) -> str:
        """The dead-letter queue's name in AWS."""
        return f"{stack}-{self.dlq_name}"


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """A topic that facts are published to. Queues say by `subscribes` what they hear of it."""

    name: str
    fifo: bool = False
    group: Literal["tenant", "subject"] = "tenant"

    def physical_name(self, stack: str) -> str:
        """The topic's name in AWS."""
        return f"{stack}-{self.name}"
