"""How a batch of any size becomes SQS batch calls, and how the answers find back.

The queue and the publisher adapters call it. It cuts by count and by bytes, gives entries their
ids, reads every entry of every answer, and sends the entries of a refused call one by one, so
that one sick entry does not fail its neighbours. It must not know what a message means.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from billfleet_workers.adapters.aws_errors import THROTTLES, Refused
from billfleet_workers.runtime.errors import Misconfigured, Unavailable
from billfleet_workers.runtime.ports.queue import EntryFailure

ENTRIES_MAX = 10


Entry = dict[str, Any]
Entries = Any
"""A list of `Entry`. The clients' types have one class for each call; ours fit all of them."""
BatchCall = Callable[[Entries], Awaitable[Mapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch call and the positions of the entries that it carries."""

    call: BatchCall
    positions: Sequence[int]


def pack(sizes: Sequence[int], *, bytes_max: int, count_max: int = ENTRIES_MAX) -> list[list[int]]:
    """Cut positions into batches, in order, within the limits. What is too big stands alone."""
    batches: list[list[int]] = []
    total = 0
    for position, size in enumerate(sizes):
        if not batches or len(batches[-1]) == count_max or total + size > bytes_max:
            batches.append([])
            total = 0
        batches[-1].append(position)
        total += size
    return batches


async def run_batches(
    batches: Sequence[Batch], entries: Sequence[Entry]
) -> list[EntryFailure | None]:
    """Make the calls at the same time; the answer is aligned with the entries.

    Where some calls go through, one that does not is the failure of its entries alone. Where
    none does, its error is raised.
    """
    if len(batches) == 1:
        return await _call(list(entries), batches[0].call)
    parts = await asyncio.gather(
        *(
            _call([entries[position] for position in batch.positions], batch.call)
            for batch in batches
        ),
        return_exceptions=True,
    )
    errors = [part for part in parts if isinstance(part, BaseException)]
    for error in errors:
        if len(errors) == len(parts) or not isinstance(error, Unavailable | Misconfigured):
            raise error
    answers: list[EntryFailure | None] = [None] * len(entries)
    for batch, part in zip(batches, parts, strict=True):
        for n, position in enumerate(batch.positions):
            answers[position] = _undone(part) if isinstance(part, BaseException) else part[n]
    return answers


def _undone(error: BaseException) -> EntryFailure:
    return EntryFailure(type(error).__name__, str(error), retriable=True)


async def _call(entries: list[Entry], call: BatchCall) -> list[EntryFailure | None]:
    try:
        answer = await call([{**entry, "Id": str(n)} for n, entry in enumerate(entries)])
    except Refused as refusal:
        if len(entries) == 1:
            return [EntryFailure(refusal.code, refusal.reason, retriable=False)]
        alone = await asyncio.gather(*(_call([entry], call) for entry in entries))
        return [answers[0] for answers in alone]
    return read_answer(answer, len(entries))


def read_answer(answer: Mapping[str, Any], count: int) -> list[EntryFailure | None]:
    """What became of entries 0 to `count`. An entry that is not mentioned has not succeeded."""
    succeeded = {entry["Id"] for entry in answer.get("Successful", ())}
    failed = {entry["Id"]: entry for entry in answer.get("Failed", ())}
    return [_read_entry(str(n), succeeded, failed) for n in range(count)]


def _read_entry(
    entry_id: str, succeeded: set[str], failed: Mapping[str, Mapping[str, Any]]
) -> EntryFailure | None:
    if entry_id in failed:
        failure = failed[entry_id]
        code = str(failure.get("Code", "Unknown"))
        return EntryFailure(
            code,
            str(failure.get("Message") or code),
            retriable=not failure.get("SenderFault", False) or code in THROTTLES,
        )
    if entry_id in succeeded:
        return None
    return EntryFailure("NoAnswer", "the batch call did not mention this entry", retriable=True)
