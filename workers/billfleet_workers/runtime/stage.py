"""A stage: one verb of delivery, over micro-batches that form across receives.

Delivery puts messages in as they come; the stage runs its verb on full batches at once. A partial
one waits while another batch is in the air, for it fills meanwhile, and otherwise for a short
linger. It decides nothing and loses nothing: what a verb raises goes to `on_failure` with the
messages that it had.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from billfleet_workers.runtime.clock import Clock
from billfleet_workers.runtime.in_flight import Delivery

Verb = Callable[[Sequence[Delivery]], Awaitable[None]]
OnFailure = Callable[[Sequence[Delivery], Exception], None]


class Stage:
    """Collects deliveries and runs a verb over batches of them.

    `patience_s` is how long a partial batch waits for one in the air, should that one be slow.
    """

    def __init__(
        self,
        verb: Verb,
        on_failure: OnFailure,
        clock: Clock,
        *,
        size_max: int,
        linger_s: float,
        patience_s: float | None = None,
    ) -> None:
        self._verb = verb
        self._on_failure = on_failure
        self._clock = clock
        self._size_max = size_max
        self._linger_s = linger_s
        self._patience_s = linger_s if patience_s is None else patience_s
        self._waiting: list[Delivery] = []
        self._since_s = 0.0
        self._lingering: asyncio.Task[None] | None = None
        self._is_aborted = False
        self._running: set[asyncio.Task[None]] = set()

    def put(self, deliveries: Sequence[Delivery]) -> None:
        """Take deliveries; their batch starts as soon as it is full or has waited."""
        if self._is_aborted:
            return
        if not self._waiting:
            self._since_s = self._clock.monotonic()
        self._waiting.extend(deliveries)
        while len(self._waiting) >= self._size_max:
            self._start()
        if not self._waiting:
            self._stop_lingering()
        elif self._lingering is None:
            self._linger_for(self._patience_s if self._running else self._linger_s)

    def hurry(self) -> None:
        """From now on nothing lingers: the process is about to end."""
        self._linger_s = self._patience_s = 0.0
        self._stop_lingering()
        if self._waiting:
            self._start()

    def abort(self) -> None:
        """Stop in the middle, as a process that dies would: nothing more is done."""
        self._is_aborted = True
        self._stop_lingering()
        for task in self._running:
            task.cancel()

    def _linger_for(self, seconds: float) -> None:
        self._lingering = asyncio.create_task(self._linger(seconds))

    async def _linger(self, seconds: float) -> None:
        await self._clock.sleep(seconds)
        self._lingering = None
        if self._waiting:
            self._start()

    def _stop_lingering(self) -> None:
        if self._lingering is not None:
            self._lingering.cancel()
            self._lingering = None

    def _start(self) -> None:
        batch, self._waiting = self._waiting[: self._size_max], self._waiting[self._size_max :]
        task = asyncio.create_task(self._run(batch))
        self._running.add(task)
        task.add_done_callback(self._landed)

    def _landed(self, task: "asyncio.Task[None]") -> None:
        """What gathered while it was in the air need not fill up any more."""
        self._running.discard(task)
        if self._running or not self._waiting or self._is_aborted:
            return
        self._stop_lingering()
        left_s = self._since_s + self._linger_s - self._clock.monotonic()
        if left_s <= 0:
            self._start()
        else:
            self._linger_for(left_s)

    async def _run(self, batch: Sequence[Delivery]) -> None:
        try:
            await self._verb(batch)
        except Exception as error:  # noqa: BLE001 - a defect of one batch must not stop the queue
            self._on_failure(batch, error)
