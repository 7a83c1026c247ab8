"""What one message costs a producer: billfleet beside its peers, on the same endpoint and run.

Run it as `python bench/produce.py [--messages N] [--only NAME…] [--json FILE] [--save]`. Each
sender makes and sends messages of 500 bytes with a payload of its own making, and measures its own
CPU, start-up left out. The queue is counted afterwards: what did not arrive is lost.
"""

import argparse
import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bar_chart import Bar, draw
from consume import say
from consume_report import RESULTS, machine
from contestants import CELERY, DRAMATIQ, NODE, SQS_WORKERS, TASKIQ, Contestant, envelope
from peer_homes import PythonHome
from queue_arena import Arena, open_arena

PATIENCE_S = 900
FLOOR = "raw-http batched"


@dataclass
class Sent:
    """All figures of one sender."""

    name: str
    messages: int
    cpu_s: float
    seconds: float
    peak_mb: float
    calls: int
    lost: int
    versions: dict[str, str]

    @property
    def cpu_s_per_1000(self) -> float:
        """The figure."""
        return self.cpu_s / self.messages * 1000


def senders() -> list[Contestant]:
    """All of them. The number of messages is put in for `N`."""
    ours, node = "billfleet_sender.py", str(Path(__file__).with_name("peers") / "sqs_producer.mjs")
    worker = {"billfleet async": "async", "billfleet sync": "sync"}
    return [
        *(
            Contestant(name, (ours, "N", kind), queue="bench-rebill")
            for name, kind in worker.items()
        ),
        Contestant(FLOOR, ("-m", "peers.raw_http_send", "N"), versions_of=("aiohttp",)),
        Contestant(
            "aiobotocore batched",
            ("-m", "peers.aiobotocore_send", "N"),
            versions_of=("aiobotocore",),
        ),
        Contestant("boto3 batched", ("-m", "peers.boto3_send", "N"), versions_of=("boto3",)),
        Contestant("boto3 single", ("-m", "peers.boto3_send", "N", "single"), messages_max=10_000),
        Contestant("sqs-producer node", (node, "N"), NODE, versions_of=("sqs-producer",)),
        _framework("celery", CELERY),
        _framework("dramatiq", DRAMATIQ),
        _framework("taskiq", TASKIQ),
        _framework("sqs-workers", SQS_WORKERS),
    ]


def _framework(name: str, home: PythonHome) -> Contestant:
    module = f"peers.{name.replace('-', '_')}_worker"
    return Contestant(name, ("-m", module, "send", "N"), home, messages_max=10_000)


def main(arguments: Sequence[str]) -> None:
    """Run the contest and show it."""
    options = _options(arguments)
    chosen = [
        one for one in senders() if not options.only or any(p in one.name for p in options.only)
    ]
    results: list[Sent] = []
    with open_arena(NODE) as arena:
        for sender in chosen:
            say(f"{sender.name} …")
            try:
                results.append(run(sender, arena, min(options.messages, sender.messages_max)))
            except subprocess.SubprocessError as error:
                say(f"  {error}")
    results.sort(key=lambda sent: sent.cpu_s_per_1000)
    Console(width=120).print(table(results, options.messages))
    if options.json:
        Path(options.json).write_text(as_json(results))
    if options.save:
        save(results, options.messages)


def run(sender: Contestant, arena: Arena, count: int) -> Sent:
    """Let it send, and count what arrived."""
    url = arena.create_queue(sender.queue_name)
    environment = {
        **sender.environ(arena.environment()),
        "BENCH_QUEUE": sender.queue_name,
        "BENCH_QUEUE_URL": url,
        "BENCH_PAYLOAD": envelope(0),
    }
    command = tuple(str(count) if part == "N" else part for part in sender.command)
    arena.calls()
    said = subprocess.run(
        sender.argv(command),
        cwd=Path(__file__).parent,
        env=environment,
        check=True,
        timeout=PATIENCE_S,
        stdout=subprocess.PIPE,
    )
    used = json.loads(said.stdout.splitlines()[-1])
    return Sent(
        sender.name,
        count,
        used["cpu_s"],
        used["seconds"],
        used["peak_mb"],
        calls=sum(n for name, n in arena.calls().items() if name.startswith("SendMessage")),
        lost=count - arena.depth(sender.queue_name).total,
        versions=sender.versions(),
    )


HEADINGS = ("CPU s/1,000", "x floor", "messages/s", "calls/message", "peak MB", "lost")


def cells(sent: Sent, floor: float | None) -> list[str]:
    """What stands in the row of one sender, in the order of `HEADINGS`."""
    return [
        f"{sent.cpu_s_per_1000:.3f}",
        f"{sent.cpu_s_per_1000 / floor:.1f}" if floor else "",
        f"{sent.messages / sent.seconds:,.0f}",
        f"{sent.calls / sent.messages:.2f}",
        f"{sent.peak_mb:.0f}",
        str(sent.lost),
    ]


def _floor(results: Sequence[Sent]) -> float | None:
    return next((sent.cpu_s_per_1000 for sent in results if sent.name == FLOOR), None)


def table(results: Sequence[Sent], messages: int) -> Table:
    """The table, cheapest first."""
    made = Table(title=f"sending {messages:,} messages of 500 bytes")
    made.add_column("producer", no_wrap=True)
    for heading in HEADINGS:
        made.add_column(heading, justify="right")
    for sent in results:
        style = "bold" if sent.name.startswith("billfleet") else ""
        made.add_row(sent.name, *cells(sent, _floor(results)), style=style)
    return made


def as_json(results: Sequence[Sent]) -> str:
    """Every figure."""
    return json.dumps({"machine": machine(), "rows": [asdict(one) for one in results]}, indent=2)


def save(results: Sequence[Sent], messages: int) -> None:
    """Table, chart and figures, for the README."""
    RESULTS.mkdir(exist_ok=True)
    bars = [
        Bar(one.name, one.cpu_s_per_1000, is_ours=one.name.startswith("billfleet"))
        for one in results
    ]
    title = f"CPU seconds to send 1,000 messages ({messages:,} messages, logarithmic)"
    (RESULTS / "produce.svg").write_text(draw(title, bars))
    (RESULTS / "produce.json").write_text(as_json(results) + "\n")
    versions = sorted({f"{n} {v}" for one in results for n, v in one.versions.items()})
    lines = [
        f"Sending {messages:,} messages of 500 bytes to fauxqs on loopback; the slowest 10,000.",
        "CPU is that of the sending process, start-up left out. Run it again with",
        "`make bench-produce`.",
        "",
        f"| producer | {' | '.join(HEADINGS)} |",
        "|---|" + "---:|" * len(HEADINGS),
        *(f"| {one.name} | {' | '.join(cells(one, _floor(results)))} |" for one in results),
        "",
        f"Versions: {', '.join(versions)}; {machine()}.",
    ]
    (RESULTS / "produce.md").write_text("\n".join(lines) + "\n")


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--messages", type=int, default=50_000)
    parser.add_argument("--only", nargs="*", default=[], metavar="NAME", help="parts of names")
    parser.add_argument("--json", metavar="FILE", help="write every figure")
    parser.add_argument("--save", action="store_true", help="write to bench/results")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    main(sys.argv[1:])
