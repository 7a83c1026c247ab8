"""One contestant against one full queue: start it, watch it, stop it, count what it left.

`consume.py` calls the three trials: `drain_queue` (throughput and cost), `stop_politely` (SIGTERM
in mid-drain) and `stop_dead` (kill -9, then a second process finishes). It knows no contestant by
name, and prints nothing.
"""

import os
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from billfleet_ops.local import ports
from contestants import Contestant, copies, envelope, envelopes
from counting_proxy import counting
from queue_arena import VISIBILITY_S, Arena, Stored

POLL_S = 0.02
GRACE_S = 30.0
PATIENCE_S = 900.0
STALLED_S = 90.0
"""A contestant that takes nothing for this long has given up, and so does its trial."""


@dataclass
class Drained:
    """What it took to empty the queue. Everything is per process tree, start-up left out."""

    messages: int = 0
    seconds: float = 0.0
    cpu_s: float = 0.0
    peak_mb: float = 0.0
    first_receive_s: float = 0.0
    """From the start of the process to the first message taken."""
    lost: int = 0
    duplicated: int = 0
    sqs_calls: Mapping[str, int] = field(default_factory=dict)
    dynamodb_calls: Mapping[str, int] = field(default_factory=dict)

    @property
    def cpu_s_per_1000(self) -> float:
        """The figure."""
        return self.cpu_s / self.messages * 1000 if self.messages else 0.0

    @property
    def messages_per_s(self) -> float:
        """Throughput on loopback."""
        return self.messages / self.seconds if self.seconds else 0.0

    @property
    def calls_per_message(self) -> float:
        """AWS calls of every kind. Known only where they were counted."""
        calls = sum(self.sqs_calls.values()) + sum(self.dynamodb_calls.values())
        return calls / self.messages if self.messages else 0.0


@dataclass
class Stopped:
    """What a signal in mid-drain left behind."""

    exit_s: float = 0.0
    exit_code: int | None = None
    """None: it had to be killed."""
    killed_in_handler: int = 0
    """Handlers that had begun and never ended."""
    left_invisible: int = 0
    """Messages that nobody can receive until their visibility timeout is over."""
    repeated: int = 0
    """Handlers that had ended, and whose message comes again."""
    duplicated: int = 0
    """Handlers that ended more than once for one message, when all was done."""
    lost: int = 0


class Effects:
    """The shared file in which handlers leave their marks."""

    def __init__(self, path: Path, messages: int) -> None:
        self.path, self.messages = path, messages
        path.write_bytes(bytes(2 * messages))

    def begun(self) -> bytes:
        """How often each handler began."""
        return self.path.read_bytes()[: self.messages]

    def ended(self) -> bytes:
        """How often each handler ended."""
        return self.path.read_bytes()[self.messages :]


@dataclass
class Trial:
    """A contestant, its full queue, and the environment of its process."""

    contestant: Contestant
    arena: Arena
    effects: Effects
    environment: dict[str, str]

    @contextmanager
    def process(self) -> Iterator["subprocess.Popen[bytes]"]:
        """The contestant's process; it is gone at the end."""
        argv = self.contestant.argv(self.contestant.command)
        log_path = self.effects.path.with_suffix(".log")
        with log_path.open("ab") as log:
            child = subprocess.Popen(
                argv,
                cwd=Path(__file__).parent,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            yield child
        finally:
            _kill_tree(child)

    def said(self) -> str:
        """The end of what the contestant has logged."""
        log_path = self.effects.path.with_suffix(".log")
        return log_path.read_text(errors="replace")[-2000:] if log_path.exists() else ""

    def depth(self) -> int:
        """Messages that are still in the queue."""
        return self.arena.depth(self.contestant.queue_name).total

    def wait_for(self, child: "subprocess.Popen[bytes]", depth: int) -> None:
        """Wait until no more than `depth` messages are left."""
        watch = _Watch(child, self)
        while (left := self.depth()) > depth:
            watch.look(left)
            time.sleep(POLL_S)


@contextmanager
def open_trial(
    contestant: Contestant, arena: Arena, count: int, **settings: str
) -> Iterator[Trial]:
    """Fill the contestant's queue."""
    with tempfile.TemporaryDirectory(prefix="billfleet-bench-") as folder:
        effects = Effects(Path(folder) / "effects", count)
        name = contestant.queue_name
        url = arena.create_queue(
            name, visibility_s=int(settings.get("BENCH_LEASE_S", VISIBILITY_S))
        )
        arena.create_queue(f"{name}-dlq")
        arena.create_table("bench-dedupe", "pk")
        arena.create_table("bench-powertools", "id")
        own = {
            **arena.environment(),
            "BENCH_QUEUE": name,
            "BENCH_QUEUE_URL": url,
            "BENCH_EFFECTS": str(effects.path),
            "BENCH_MESSAGES": str(count),
            "BENCH_STATSD_PORT": str(ports.choose("billfleet bench statsd")),
            **settings,
        }
        trial = Trial(contestant, arena, effects, contestant.environ(own))
        arena.fill(name, _messages(trial, count))
        yield trial


def _messages(trial: Trial, count: int) -> Iterator[Stored]:
    contestant, arena = trial.contestant, trial.arena
    if not contestant.sender:
        return envelopes(count)
    environment = {**trial.environment, "BENCH_PAYLOAD": envelope(0)}
    argv = contestant.argv(contestant.sender)
    subprocess.run(
        argv,
        cwd=Path(__file__).parent,
        env=environment,
        check=True,
        timeout=60,
        stdout=subprocess.DEVNULL,
    )
    [one] = arena.left(contestant.queue_name)
    arena.create_queue(contestant.queue_name)
    return copies(one, count)


def drain_queue(contestant: Contestant, arena: Arena, count: int, *, counted: bool) -> Drained:
    """Let it empty the queue. Counting calls costs time, so figures come from another run."""
    result = Drained()
    with open_trial(contestant, arena, count) as trial:
        if not counted:
            return _drain(trial, count, result)
        with counting(arena.dynamodb.port) as proxy:
            trial.environment["AWS_ENDPOINT_URL_DYNAMODB"] = f"http://127.0.0.1:{proxy.port}"
            _drain(trial, count, result)
            result.messages = count
            result.dynamodb_calls = dict(proxy.counts)
    return result


def _drain(trial: Trial, count: int, result: Drained) -> Drained:
    arena, name = trial.arena, trial.contestant.queue_name
    arena.calls()
    started_s = time.monotonic()
    with trial.process() as child:
        watch, usage = _Watch(child, trial), _Usage(child)
        while arena.depth(name).visible == count:
            watch.look(count)
            time.sleep(POLL_S / 4)
        result.first_receive_s = time.monotonic() - started_s
        # The clock starts when it has settled its first messages: start-up is another figure.
        while (left := trial.depth()) == count:
            watch.look(left)
            time.sleep(POLL_S / 4)
        before_s, from_s, from_depth = usage.cpu_s(), time.monotonic(), left
        while left := trial.depth():
            watch.look(left)
            usage.look()
            time.sleep(POLL_S)
        result.seconds = time.monotonic() - from_s
        result.cpu_s = usage.cpu_s() - before_s
        result.messages = from_depth
        result.sqs_calls = arena.calls()
        _terminate(child)
        result.peak_mb = usage.peak_mb
    ended = trial.effects.ended()
    result.lost = sum(times == 0 for times in ended)
    result.duplicated = sum(times - 1 for times in ended if times)
    return result


def stop_politely(contestant: Contestant, arena: Arena) -> Stopped:
    """SIGTERM in mid-drain: 300 messages, handlers of 0.2 s."""
    count = 300
    with open_trial(contestant, arena, count, BENCH_HANDLER_S="0.2") as trial:
        with trial.process() as child:
            trial.wait_for(child, count - 40)
            result = _stop(child, signal.SIGTERM)
        _count_left(trial, result)
        return result


def stop_dead(contestant: Contestant, arena: Arena, count: int) -> Stopped:
    """kill -9 in mid-drain; then the same contestant finishes the rest."""
    settings = {"BENCH_LEASE_S": "10", "BENCH_MODE": "kill"}
    with open_trial(contestant, arena, count, **settings) as trial:
        with trial.process() as child:
            trial.wait_for(child, count // 2)
            result = _stop(child, signal.SIGKILL)
        _count_left(trial, result)
        with trial.process() as child:
            trial.wait_for(child, 0)
            _terminate(child)
        ended = trial.effects.ended()
        result.lost = sum(times == 0 for times in ended)
        result.duplicated = sum(times - 1 for times in ended if times)
        return result


def _stop(child: "subprocess.Popen[bytes]", number: signal.Signals) -> Stopped:
    started_s = time.monotonic()
    if number == signal.SIGKILL:
        _kill_tree(child)
        return Stopped(exit_code=-9)
    code = _terminate(child)
    return Stopped(exit_s=time.monotonic() - started_s, exit_code=code)


def _count_left(trial: Trial, result: Stopped) -> None:
    begun, ended = trial.effects.begun(), trial.effects.ended()
    result.killed_in_handler = sum(b > e for b, e in zip(begun, ended, strict=True))
    depth = trial.arena.depth(trial.contestant.queue_name)
    result.left_invisible = depth.hidden
    done = sum(times > 0 for times in ended)
    gone = trial.effects.messages - depth.total
    result.repeated = max(0, done - gone)
    result.lost = max(0, gone - done)


class _Watch:
    """Gives up on a contestant that has ended, or that takes nothing any more."""

    def __init__(self, child: "subprocess.Popen[bytes]", trial: Trial) -> None:
        self._child = child
        self._trial = trial
        self._last = (-1, time.monotonic())
        self._until_s = time.monotonic() + PATIENCE_S

    def look(self, depth: int) -> None:
        """Raise if there is nothing to wait for."""
        now_s = time.monotonic()
        if depth != self._last[0]:
            self._last = (depth, now_s)
        if self._child.poll() is not None:
            raise self._gave_up(f"it ended with {self._child.returncode}", depth)
        if now_s - self._last[1] > STALLED_S or now_s > self._until_s:
            raise self._gave_up(f"it took nothing for {STALLED_S:.0f} s", depth)

    def _gave_up(self, why: str, depth: int) -> "GaveUp":
        return GaveUp(f"{why}, and left {depth:,} of its messages", self._trial.said())


class GaveUp(Exception):
    """The contestant did not finish. The reason says how many messages were left."""

    def __init__(self, reason: str, said: str) -> None:
        super().__init__(reason)
        self.said = said
        """The end of its log, for whoever looks into it."""


class _Usage:
    """CPU time and memory of a process and its children."""

    def __init__(self, child: "subprocess.Popen[bytes]") -> None:
        self._process = psutil.Process(child.pid)
        self.peak_mb = 0.0

    def look(self) -> None:
        """Take the memory of now, if it is more than before."""
        total = 0
        for one in self._members():
            try:
                total += one.memory_info().rss
            except psutil.NoSuchProcess:
                continue
        self.peak_mb = max(self.peak_mb, total / 1e6)

    def cpu_s(self) -> float:
        """Seconds used by the process and all its children, the ended ones too."""
        total_s = 0.0
        for one in self._members():
            try:
                times = one.cpu_times()
            except psutil.NoSuchProcess:
                continue
            total_s += times.user + times.system + times.children_user + times.children_system
        return total_s

    def _members(self) -> list[psutil.Process]:
        return [self._process, *self._process.children(recursive=True)]


def _terminate(child: "subprocess.Popen[bytes]") -> int | None:
    """SIGTERM to the process alone, as systemd and containers do; None if it had to be killed."""
    if child.poll() is None:
        os.kill(child.pid, signal.SIGTERM)
    try:
        return child.wait(timeout=GRACE_S)
    except subprocess.TimeoutExpired:
        _kill_tree(child)
        return None


def _kill_tree(child: "subprocess.Popen[bytes]") -> None:
    """End whatever is left of the process group that we started."""
    try:
        os.killpg(child.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    finally:
        child.wait()
