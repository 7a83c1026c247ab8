"""Watching the first few: did their work get done, or did they come back?

`run_with_canary` sends a few, waits for their outcomes and goes on only if each of them is known
to have ended well. Done is what the dedupe store says; back is what shows in the dead-letter
queue. A message whose queue is not the fleet's leaves no record: for it, not having come back by
the end of the wait must do.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from billfleet_ops.replay.reading import read
from billfleet_ops.replay.run import Replayer, Report, Request, Sent, Tools
from billfleet_ops.replay.scan import Scan

POLL_S = 1.0
LOOKED_AT_MAX = 2000
"""How many messages of the dead-letter queue are held while looking for returns."""


@dataclass
class Outcomes:
    """What became of the canaries, by original message id."""

    done: list[str] = field(default_factory=list)
    returned: list[str] = field(default_factory=list)
    silent: list[str] = field(default_factory=list)

    @property
    def are_good(self) -> bool:
        """Whether it is safe to go on."""
        return not self.returned and not self.silent


async def watch(
    tools: Tools,
    request: Request,
    canaries: Sequence[Sent],
    ids: set[str],
    wait_s: float,
    is_stopped: Callable[[], bool] = lambda: False,
) -> Outcomes:
    """Wait until each canary's outcome is known, one came back, or the time is over.

    `ids` are the canaries' ids in the dead-letter queue: one of these is no return.
    """
    outcomes, clock = Outcomes(), tools.clock
    pending = {one.original_id: one for one in canaries}
    until_s = clock.monotonic() + wait_s
    async with Scan(
        tools.letters, request.queue.url, clock=clock, hidden_s=round(wait_s) + 60
    ) as scan:
        looked_at = 0
        while True:
            await _take_done(tools, pending, outcomes)
            if looked_at < LOOKED_AT_MAX:
                looked_at += await _look_for_returns(tools, request, scan, pending, ids, outcomes)
            is_over = clock.monotonic() >= until_s or is_stopped()
            if not pending or outcomes.returned or is_over:
                break
            await clock.sleep(POLL_S)
    for original_id, one in pending.items():
        is_quiet = one.key is None and not outcomes.returned and not is_stopped()
        (outcomes.done if is_quiet else outcomes.silent).append(original_id)
    return outcomes


async def _take_done(tools: Tools, pending: dict[str, Sent], outcomes: Outcomes) -> None:
    keyed = {key: original for original, one in pending.items() if (key := one.key) is not None}
    if not keyed or tools.dedupe is None:
        return
    records = await tools.dedupe.read(list(keyed))
    for key, record in zip(keyed, records, strict=True):
        if record is not None and record.completed_at is not None:
            outcomes.done.append(keyed[key])
            del pending[keyed[key]]


async def _look_for_returns(
    tools: Tools,
    request: Request,
    scan: Scan,
    pending: dict[str, Sent],
    ids: set[str],
    outcomes: Outcomes,
) -> int:
    received = await tools.letters.receive(
        request.queue.url, limit=10, wait_s=0, visibility_timeout_s=scan.hidden_s
    )
    scan.keep(received)
    for message in received:
        reading = read(message)
        if reading.original_id in pending and reading.id not in ids:
            outcomes.returned.append(reading.original_id)
            del pending[reading.original_id]
    return len(received)


async def run_with_canary(
    replayer: Replayer, tools: Tools, request: Request, *, count: int, wait_s: float
) -> tuple[Report, Outcomes]:
    """Send `count`, watch them, and send the rest if all of them ended well."""
    await replayer.run(limit=count)
    canaries = list(replayer.sent.values())
    outcomes = await watch(
        tools,
        request,
        canaries,
        replayer.sent_ids,
        wait_s,
        is_stopped=lambda: replayer.report.stopped is not None,
    )
    if not outcomes.are_good:
        replayer.stop(
            f"the canary failed: {len(outcomes.returned)} of {len(canaries)} came back and "
            f"{len(outcomes.silent)} have no outcome yet"
        )
    elif replayer.report.stopped is None:
        await replayer.run()
    return replayer.report, outcomes
