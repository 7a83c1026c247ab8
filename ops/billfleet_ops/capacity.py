"""What a number of messages a day needs: tasks, DynamoDB units, SQS calls, databases, dollars.

`billfleet capacity` prints it. The figures of one message were measured (each says by what); the
rest is arithmetic that the guide explains line by line. It asks nothing of AWS.
"""

import math
from dataclasses import dataclass
from typing import Final

from billfleet_ops.prices import Prices

DAY_S: Final = 86_400
HOURS: Final = 24
MILLION: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class PerMessage:
    """What one message costs."""

    cpu_ms: float = 1.2
    """Of a worker. The engine was measured at 0.57 (`bench/consume.py --quick --only billfleet`,
    2,000 messages, a shared two-core machine; 0.23 with BILLFLEET_AWS_CLIENT=lean); the rest is
    an assumption for a handler of one transaction. Give your own by --cpu-ms."""
    receive_and_delete_calls: float = 0.20
    """Tens both ways; bench/consume.py holds 0.30 with the claims."""
    send_calls: float = 0.10
    """Batches of ten; a single send costs one."""
    claim_writes: float = 2.0
    """An insert when claimed, an update when done; each at most 1 KB."""
    claim_reads: float = 0.02
    """Only duplicates are read."""
    database_rows: float = 3.0
    """Ledger, state, outbox."""


@dataclass(frozen=True, slots=True)
class Assumptions:
    """What is assumed of traffic and machines."""

    peak_factor: float = 3.0
    """The busiest minute against the average one."""
    task_vcpu: float = 0.25
    task_gib: float = 0.5
    cpu_share_max: float = 0.6
    """How much of a task's CPU may be used at the peak; alarms ring at 80 %."""
    rows_per_s: float = 55_000.0
    """Half of the 110,000 rows a second that set-based posting reached (batches of 100)."""
    record_bytes: int = 400
    retain_days: int = 14


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that is needed, what it costs a day, and from what it follows."""

    name: str
    amount: float
    unit: str
    usd_per_day: float
    because: str


@dataclass(frozen=True, slots=True)
class Capacity:
    """All of it."""

    messages_per_day: int
    average_per_s: float
    peak_per_s: float
    lines: tuple[Line, ...]
    warnings: tuple[str, ...]

    @property
    def usd_per_day(self) -> float:
        """Together."""
        return sum(line.usd_per_day for line in self.lines)

    @property
    def usd_per_million(self) -> float:
        """What a million messages cost."""
        return self.usd_per_day / self.messages_per_day * MILLION


def capacity(
    messages_per_day: int, one: PerMessage, assumed: Assumptions, prices: Prices
) -> Capacity:
    """The need and the cost of so many messages a day."""
    average = messages_per_day / DAY_S
    peak = average * assumed.peak_factor
    lines = (
        _tasks(average, peak, one, assumed, prices),
        _sqs(messages_per_day, one, prices),
        *_dynamodb(messages_per_day, peak, one, assumed, prices),
        _databases(peak, one, assumed, prices),
    )
    return Capacity(messages_per_day, average, peak, lines, tuple(_limits(peak, one, assumed)))


def _tasks(
    average: float, peak: float, one: PerMessage, assumed: Assumptions, prices: Prices
) -> Line:
    """Scaling follows the backlog, so the average is paid and the peak must be possible."""
    per_task = assumed.task_vcpu * assumed.cpu_share_max * 1000 / one.cpu_ms
    tasks_at_peak = max(2, math.ceil(peak / per_task))
    tasks = max(2, math.ceil(average / per_task))
    hour = assumed.task_vcpu * prices.fargate_vcpu_hour + assumed.task_gib * prices.fargate_gib_hour
    return Line(
        "Fargate tasks",
        tasks_at_peak,
        f"at the peak, {tasks} on average",
        tasks * HOURS * hour,
        f"{one.cpu_ms:g} ms of CPU a message, {assumed.task_vcpu:g} vCPU at "
        f"{assumed.cpu_share_max:.0%}: {per_task:,.0f} messages a second and task",
    )


def _sqs(messages_per_day: int, one: PerMessage, prices: Prices) -> Line:
    per_message = one.send_calls + one.receive_and_delete_calls
    calls = messages_per_day * per_message
    return Line(
        "SQS calls",
        calls,
        "a day",
        calls / MILLION * prices.sqs_million_requests,
        f"{per_message:.2f} a message: sent, received and deleted in tens",
    )


def _dynamodb(
    messages_per_day: int, peak: float, one: PerMessage, assumed: Assumptions, prices: Prices
) -> tuple[Line, Line]:
    writes, reads = messages_per_day * one.claim_writes, messages_per_day * one.claim_reads
    usd = writes / MILLION * prices.dynamodb_million_writes
    usd += reads / MILLION * prices.dynamodb_million_reads
    units = Line(
        "DynamoDB write units",
        peak * one.claim_writes,
        "a second at the peak",
        usd,
        f"{one.claim_writes:g} writes a message, {writes:,.0f} a day, on demand",
    )
    gib = messages_per_day * assumed.retain_days * assumed.record_bytes / 2**30
    stored = Line(
        "DynamoDB records",
        gib,
        "GiB",
        gib * prices.dynamodb_gib_month / 30,
        f"{assumed.record_bytes} bytes, kept {assumed.retain_days} days "
        "(BILLFLEET_DEDUPE_RETAIN_S)",
    )
    return units, stored


def _databases(peak: float, one: PerMessage, assumed: Assumptions, prices: Prices) -> Line:
    rows = peak * one.database_rows
    count = max(1, math.ceil(rows / assumed.rows_per_s))
    hour = prices.rds_hour["db.m7g.large"] * 2
    return Line(
        "PostgreSQL, two zones",
        count,
        "databases, each with its tenants" if count > 1 else "database",
        count * hour * HOURS,
        f"{rows:,.0f} rows a second at the peak, {assumed.rows_per_s:,.0f} a database; "
        "priced as db.m7g.large",
    )


def _limits(peak: float, one: PerMessage, assumed: Assumptions) -> list[str]:
    """Where AWS must be asked, or the design bends."""
    said = []
    if peak * one.claim_writes > 40_000:
        said.append(
            "DynamoDB grants a table 40,000 write units a second until you ask for more, and one "
            "partition 1,000: dedupe keys are spread by their hash, so more is a request and not "
            "a change."
        )
    if peak * one.database_rows > assumed.rows_per_s:
        said.append(
            "One PostgreSQL does not take this: tenants are divided among several installations, "
            "each a stack of its own."
        )
    if peak > 3_000:
        said.append(
            "A FIFO queue without high throughput takes 3,000 messages a second; the loyalty "
            "queue has high throughput on, whose quota depends on the region."
        )
    if peak * 30 > 120_000:
        said.append(
            "SQS holds 120,000 messages in flight per queue: handlers must end within "
            f"{120_000 / peak:.1f} s at the peak, or the queue is divided."
        )
    return said
