"""`billfleet-outbox`: the outbox from a shell. Makes the tables, carries rows, says what waits.

Run it beside the service, under whatever keeps processes alive. Exit codes: 0 done, 1 rows were
refused or still wait (`relay --once`), 2 called wrongly, 3 the database or AWS does not answer.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import MetaData
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from billfleet_outbox.carriers import Carrier, NoDriver, open_carrier
from billfleet_outbox.rows import Backlog, Round
from billfleet_outbox.tables import OutboxTables
from billfleet_producers import ClaimCheck, ProducerError
from billfleet_producers.preparing import utc_now

DATABASE_URL = "BILLFLEET_OUTBOX_DATABASE_URL"
EXAMPLES = f"""\
examples:
  export {DATABASE_URL}=postgresql+psycopg://shop@db/shop
  billfleet-outbox create-tables             where no migration tool does it
  billfleet-outbox relay --stack billfleet   carry rows until SIGTERM
  billfleet-outbox relay --stack billfleet --once
  billfleet-outbox status                    how many wait, and why the refused were refused
"""
PRUNED_AT_ONCE = 1000
RETRY_FIRST_S = 0.5
RETRY_MAX_S = 15.0


def main(arguments: Sequence[str] | None = None) -> int:
    """The command's entry point."""
    options = _parser().parse_args(arguments)
    try:
        url = _url(options)
        tables = OutboxTables.add_to(MetaData(), name=options.table, schema=options.schema)
        with open_carrier(url, tables, stack=options.stack, claim_check=_claim_check(options)) as c:
            done: int = options.run(c, options)
            return done
    except (_Usage, NoDriver) as error:
        return _complain(str(error), 2)
    except SQLAlchemyError as error:
        first_line = str(getattr(error, "orig", None) or error).strip().splitlines()[0]
        hint = "check the URL, and that `billfleet-outbox create-tables` or a migration was run"
        return _complain(f"the database: {first_line}; {hint}", 3)
    except ProducerError as error:
        return _complain(str(error), 3)


class _Usage(ValueError):
    """The command was called wrongly; the message says how it is meant."""


def _create_tables(carrier: Carrier, _: argparse.Namespace) -> int:
    carrier.create_tables()
    sys.stdout.write("The outbox's tables are there.\n")
    return 0


def _status(carrier: Carrier, options: argparse.Namespace) -> int:
    backlog = carrier.backlog()
    age_s = _age_s(backlog)
    if options.json:
        shown = {"waiting": backlog.waiting, "refused": backlog.refused, "oldest_age_s": age_s}
        sys.stdout.write(json.dumps(shown) + "\n")
        return 0
    sys.stdout.write(f"{backlog.waiting} wait, {backlog.refused} of them were refused before.\n")
    if age_s is not None:
        sys.stdout.write(f"The oldest was written {age_s:.0f} s ago.\n")
    return 0


def _relay(carrier: Carrier, options: argparse.Namespace) -> int:
    if options.stack is None:
        raise _Usage("say whose queues to send to: --stack, for example --stack billfleet-local")
    if options.once:
        return _drain_once(carrier)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    _say(f"The relay runs; {carrier.backlog().waiting} wait.")
    _carry(carrier, stop, options)
    _say("The relay has stopped.")
    return 0


def _drain_once(carrier: Carrier) -> int:
    sent = 0
    while (done := carrier.send_once()).taken:
        sent += done.sent
        _report(done)
        if not done.sent:
            break
    left = carrier.backlog().waiting
    sys.stdout.write(f"{sent} sent, {left} left.\n")
    return 1 if left else 0


def _carry(carrier: Carrier, stop: threading.Event, options: argparse.Namespace) -> None:
    retry_s = RETRY_FIRST_S
    prune_at = utc_now()
    while not stop.is_set():
        try:
            done = carrier.send_once()
            if utc_now() >= prune_at:
                before = utc_now() - timedelta(days=options.keep_days)
                more = carrier.prune(before, PRUNED_AT_ONCE) == PRUNED_AT_ONCE
                prune_at = utc_now() + timedelta(seconds=0 if more else 60)
        except (SQLAlchemyError, ProducerError) as error:
            _say(f"waits {retry_s:.1f} s: {str(error).splitlines()[0]}")
            stop.wait(retry_s)
            retry_s = min(RETRY_MAX_S, retry_s * 2)
            continue
        _report(done)
        if done.waiting:
            stop.wait(retry_s)
            retry_s = min(RETRY_MAX_S, retry_s * 2)
            continue
        retry_s = RETRY_FIRST_S
        if not done.taken:
            stop.wait(options.poll_s)


def _report(done: Round) -> None:
    for failure in done.refused:
        _say(f"refused {failure.what.event_type} {failure.what.event_id}: {failure.error}")
    for failure in done.waiting[:1]:
        _say(f"{len(done.waiting)} wait for AWS: {failure.error}")


def _age_s(backlog: Backlog) -> float | None:
    if backlog.oldest is None:
        return None
    oldest = backlog.oldest
    # SQLite keeps no zone; what the outbox wrote is UTC.
    aware = oldest if oldest.tzinfo is not None else oldest.replace(tzinfo=UTC)
    now: datetime = utc_now()
    return round((now - aware).total_seconds(), 1)


def _url(options: argparse.Namespace) -> URL:
    given = options.database_url or os.environ.get(DATABASE_URL)
    if not given:
        raise _Usage(f"say which database: --database-url, or {DATABASE_URL}")
    try:
        url = make_url(given)
        url.get_dialect()
    except ArgumentError:
        # The URL itself is not repeated: it may hold a password.
        raise _Usage("the database URL can't be used: it is no SQLAlchemy URL") from None
    except NoSuchModuleError as error:
        raise _Usage(f"the database URL can't be used: {error}") from None
    return url


def _claim_check(options: argparse.Namespace) -> ClaimCheck | None:
    bucket = options.claim_check_bucket
    return None if bucket is None else ClaimCheck(bucket)


def _complain(what: str, code: int) -> int:
    sys.stderr.write(f"billfleet-outbox: {what}\n")
    return code


def _say(what: str) -> None:
    sys.stderr.write(f"{what}\n")
    sys.stderr.flush()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="billfleet-outbox",
        description="Carries the outbox of a service's own database to a billfleet.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("--database-url", help=f"SQLAlchemy URL, sync or async; else {DATABASE_URL}")
    add("--table", default="billfleet_outbox", help="its name (default: %(default)s)")
    add("--schema", help="its schema, if it is not in the default one")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    runs: Callable[..., argparse.ArgumentParser] = commands.add_parser
    create = runs("create-tables", help="make the tables that are missing")
    create.set_defaults(run=_create_tables, stack=None, claim_check_bucket=None)
    status = runs("status", help="how many rows wait")
    status.add_argument("--json", action="store_true", help="for a program")
    status.set_defaults(run=_status, stack=None, claim_check_bucket=None)
    relay = runs("relay", help="carry rows until SIGTERM")
    relay.add_argument("--stack", help="whose queues and topics, such as billfleet-local")
    relay.add_argument("--once", action="store_true", help="carry what is there, then end")
    relay.add_argument("--poll-s", type=float, default=0.5, help="look for rows this often")
    relay.add_argument("--keep-days", type=float, default=7, help="delete sent rows after this")
    relay.add_argument("--claim-check-bucket", help="leave bodies above 1 MiB in this S3 bucket")
    relay.set_defaults(run=_relay)
    return parser
