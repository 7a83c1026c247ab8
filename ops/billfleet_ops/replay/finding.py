"""Finds one message by an id, in one dead-letter queue or in all of the fleet's.

`show` and `edit` use it. SQS has no look-up by id, so it goes through the queue; the message that
is found stays hidden for the caller, who hands it back or takes it out.
"""

from collections.abc import Sequence

from billfleet_ops.errors import OpsError
from billfleet_ops.replay.reading import Reading, read
from billfleet_ops.replay.scan import Scan, hidden_s_for
from billfleet_workers.runtime.clock import Clock
from billfleet_workers.runtime.ports.dead_letters import DeadLetters, QueueFacts


async def find_message(
    letters: DeadLetters, queues: Sequence[QueueFacts], message_id: str, clock: Clock
) -> tuple[QueueFacts, Reading]:
    """The message whose id in the queue, original id or event id is this one.

    Raises:
        OpsError: no queue holds it, or it is hidden by somebody else right now.
    """
    for queue in queues:
        found = await _find_in(letters, queue, message_id, clock)
        if found is not None:
            return queue, found
    names = ", ".join(queue.name for queue in queues)
    raise OpsError(
        f"No message {message_id} was found",
        where=names or "no dead-letter queue exists",
        remedy="It was replayed or purged, or another command hides it: try again in a minute.",
    )


async def _find_in(
    letters: DeadLetters, queue: QueueFacts, message_id: str, clock: Clock
) -> Reading | None:
    hidden_s = hidden_s_for(queue.waiting)
    async with Scan(
        letters, queue.url, clock=clock, hidden_s=hidden_s, expected=queue.waiting
    ) as scan:
        while batch := await scan.next_batch():
            readings = [read(message) for message in batch]
            found = next((one for one in readings if one.is_called(message_id)), None)
            scan.keep(one.message for one in readings if one is not found)
            if found is not None:
                return found
    return None
