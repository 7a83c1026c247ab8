"""What the replay commands run in: ports, stack, journal folder, and errors in plain words.

Each command opens one. It says which permission is missing on what, and stops gently on Ctrl-C.
"""

import asyncio
import secrets
import signal
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from botocore.exceptions import ClientError

from billfleet_ops.configuration import home_directory, load_settings
from billfleet_ops.errors import ConfigurationWrong
from billfleet_ops.replay.places import find_queue, fleet_dlqs
from billfleet_ops.runbooks import Runbook
from billfleet_workers.runtime.clock import Clock
from billfleet_workers.runtime.errors import Misconfigured
from billfleet_workers.runtime.ports.dead_letters import DeadLetters, NotAllowed, QueueFacts
from billfleet_workers.runtime.ports.dedupe import AmendableStore

DYNAMODB_ACTIONS = {"BatchGetItem": "dynamodb:BatchGetItem"}
FORGETTING = "dynamodb:PartiQLDelete"


@dataclass(frozen=True)
class Session:
    """Everything that a command of replay works with."""

    letters: DeadLetters
    dedupe: AmendableStore
    clock: Clock
    stack: str
    home: Path

    async def queues(self, named: Sequence[str]) -> list[QueueFacts]:
        """The queues that are named; without names, the fleet's dead-letter queues."""
        if named:
            return [await find_queue(self.letters, self.stack, name) for name in named]
        found = await fleet_dlqs(self.letters, self.stack)
        if not found:
            raise ConfigurationWrong(
                f"The stack {self.stack} has no dead-letter queue here",
                where="BILLFLEET_STACK, AWS_REGION",
                remedy="Correct them, or name any queue with --queue.",
            )
        return found

    def new_run(self) -> str:
        """A name for a run: when it began, and a few letters of its own."""
        return f"{self.clock.now():%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"


@asynccontextmanager
async def opened() -> AsyncIterator[Session]:
    """A session as the settings say."""
    # Imported here, because no other command should wait for the adapters to load.
    from billfleet_workers.main.replaying import open_replay

    settings = load_settings()
    with permissions_named():
        async with open_replay(settings) as parts:
            yield Session(
                parts.letters, parts.dedupe, parts.clock, settings.stack, home_directory()
            )


@contextmanager
def permissions_named() -> Iterator[None]:
    """Say which action on which resource is missing, and what to do about it."""
    try:
        yield
    except (Misconfigured, ExceptionGroup) as error:
        denied = _denied(error)
        if denied is None:
            raise
        action, resource = denied
        raise ConfigurationWrong(
            f"The permission {action} is missing",
            where=resource,
            remedy=f"Allow {action} on it in the policy of the credentials in use"
            f" ({Runbook.REPLAYING} lists what replay needs).",
        ) from error


def _denied(error: BaseException) -> tuple[str, str] | None:
    if isinstance(error, BaseExceptionGroup):
        return next((found for one in error.exceptions if (found := _denied(one))), None)
    if isinstance(error, NotAllowed):
        return error.action, error.resource
    cause = error.__cause__
    if isinstance(error, Misconfigured) and isinstance(cause, ClientError):
        code = str(cause.response.get("Error", {}).get("Code"))
        if code.startswith("AccessDenied"):
            return DYNAMODB_ACTIONS.get(cause.operation_name, FORGETTING), error.dependency
    return None


@contextmanager
def interruptible(stop: Callable[[str], None]) -> Iterator[None]:
    """Ctrl-C and SIGTERM ask for a stop: what is in hand is finished, the rest is handed back."""
    loop = asyncio.get_running_loop()
    signals = (signal.SIGINT, signal.SIGTERM)
    for number in signals:
        loop.add_signal_handler(number, stop, "interrupted; run it again to go on")
    try:
        yield
    finally:
        for number in signals:
            loop.remove_signal_handler(number)
