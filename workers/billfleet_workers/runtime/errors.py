"""The errors that a handler or an adapter ends a delivery with, grouped by what comes next.

`decide` turns them into outcomes. An exception of any other class is taken as transient: it is
retried with backoff, and buried as poison when the receive count is used up.
"""


class DeliveryError(Exception):
    """A delivery could not be finished. The reason says what happened, for an operator."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Transient(DeliveryError):
    """It did not work now and may work later. The message is hidden and comes back.

    `retry_after_s` is how long to wait at least, where whoever refused said so.
    """

    def __init__(self, reason: str, retry_after_s: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s


class Permanent(DeliveryError):
    """It can never work. The message goes to the dead-letter queue with this reason.

    Read the reason, repair what it names, and bring the message home with a replay.
    """


class Unavailable(DeliveryError):
    """Something that every message needs can't be reached: PostgreSQL, DynamoDB, SQS.

    The messages in hand go back unharmed and receiving pauses until it answers again. If this
    lasts, look at the dependency that is named, not at the messages.
    """

    def __init__(self, dependency: str, reason: str) -> None:
        super().__init__(f"{dependency} is unavailable: {reason}")
        self.dependency = dependency


class Misconfigured(Unavailable):
    """What every message needs is set up wrongly: a queue, table, topic or permission is missing.

    Waiting does not help: repair the setting or the stack that is named (`billfleet doctor` checks
    them all). At start the fleet refuses to run; later it pauses like in an outage, and goes on
    when the repair is made. The messages in hand are not at fault and go back unharmed.
    """

    def __init__(self, dependency: str, reason: str) -> None:
        DeliveryError.__init__(self, f"{dependency} is set up wrongly: {reason}")
        self.dependency = dependency
