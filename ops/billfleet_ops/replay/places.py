"""Finds the queues: the fleet's dead-letter queues, any queue by name, and where messages belong.

The commands start here. It asks the dead-letters port and the catalogue; what it finds goes into
an `AddressBook`, which decides.
"""

import asyncio

from billfleet_contracts import QUEUES
from billfleet_ops.errors import UsageWrong
from billfleet_ops.replay.addressing import Address, AddressBook
from billfleet_workers.runtime.ports.dead_letters import DeadLetters, QueueFacts


async def find_queue(letters: DeadLetters, stack: str, given: str) -> QueueFacts:
    """A queue by URL, ARN, name, or the fleet's own name for it (`rebill`, `rebill-dlq`)."""
    dlqs = {spec.name: spec.dlq_physical_name(stack) for spec in QUEUES.values()}
    dlqs |= {spec.dlq_name: spec.dlq_physical_name(stack) for spec in QUEUES.values()}
    found = await letters.describe(dlqs.get(given, given))
    if found is None:
        raise UsageWrong(
            f"There is no queue {given} in this account and region",
            where="--queue",
            remedy=f"Give its URL or name; the fleet's are {', '.join(sorted(dlqs))}.",
        )
    return found


async def fleet_dlqs(letters: DeadLetters, stack: str) -> list[QueueFacts]:
    """The dead-letter queues of the catalogue, those that exist."""
    names = [spec.dlq_physical_name(stack) for spec in QUEUES.values()]
    found = await asyncio.gather(*(letters.describe(name) for name in names))
    return [one for one in found if one is not None]


async def address_book(
    letters: DeadLetters, stack: str, queue: QueueFacts, to: str | None
) -> AddressBook:
    """Where the messages of this dead-letter queue may belong."""
    named = await _named(letters, stack, queue, to) if to is not None else None
    own = [spec for spec in QUEUES.values() if spec.dlq_physical_name(stack) == queue.name]
    by_origin: dict[str, Address] = {}
    for spec in own:
        facts = await letters.describe(spec.physical_name(stack))
        if facts is not None:
            by_origin[spec.name] = _address(facts, stack)
    known = {one.url for one in by_origin.values()}
    urls = [] if named else [url for url in await letters.sources(queue.url) if url not in known]
    described = await asyncio.gather(*(letters.describe(url) for url in urls))
    others = [_address(facts, stack) for facts in described if facts is not None]
    return AddressBook(named, by_origin, [*by_origin.values(), *others])


async def _named(letters: DeadLetters, stack: str, queue: QueueFacts, to: str) -> Address:
    names = {spec.name: spec.physical_name(stack) for spec in QUEUES.values()}
    facts = await letters.describe(names.get(to, to))
    if facts is None:
        raise UsageWrong(
            f"There is no queue {to}", where="--to", remedy="Give the URL or name of a queue."
        )
    if facts.arn == queue.arn:
        raise UsageWrong(
            "A queue cannot be replayed into itself",
            where="--to",
            remedy="Name the queue whose workers should handle the messages.",
        )
    return _address(facts, stack)


def _address(facts: QueueFacts, stack: str) -> Address:
    fleet = {spec.physical_name(stack): spec.name for spec in QUEUES.values()}
    return Address(facts.url, facts.name, facts.is_fifo, fleet.get(facts.name))
