"""After the database was restored to a moment: what the rest of the world knows that it forgot.

`billfleet reconcile` prints it. Dedupe records of work done after that moment would turn the same
work away although its effect is gone, so they can be forgotten; queues need nothing, and payments
are asked for at the gateway by their own keys. It reads; only `forget` writes, and only records.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from botocore.exceptions import ClientError
from sqlalchemy import text

from billfleet_db import Database
from billfleet_ops.clients import Clients, aws_errors_mapped
from billfleet_ops.finding import Finding, doubtful, fine, wrong

LATEST: Final = text("SELECT max(posted_at) FROM billing.transfers")
UNSENT: Final = text("SELECT count(*) FROM fleet.outbox WHERE sent_at IS NULL")
PAGE: Final = 1000


@dataclass(frozen=True, slots=True)
class DoneRecord:
    """A dedupe record of finished work."""

    key: str
    completed_ms: int

    @property
    def queue(self) -> str:
        """The queue that the work came from."""
        return self.key.split("#", 2)[1] if self.key.count("#") > 1 else "?"


def done_since(clients: Clients, stack: str, moment: datetime) -> Iterator[DoneRecord]:
    """Records of work that was done at that moment or later."""
    pages = clients.dynamodb.get_paginator("scan").paginate(
        TableName=f"{stack}-dedupe",
        ConsistentRead=True,
        FilterExpression="#state = :done AND completed_at >= :since",
        ProjectionExpression="pk, completed_at",
        ExpressionAttributeNames={"#state": "state"},
        ExpressionAttributeValues={":done": {"S": "done"}, ":since": {"N": str(_ms(moment))}},
    )
    with aws_errors_mapped(clients):
        for page in pages:
            for item in page["Items"]:
                yield DoneRecord(item["pk"]["S"], int(item["completed_at"]["N"]))


def forget(clients: Clients, stack: str, record: DoneRecord) -> bool:
    """Delete one record, unless the work was done again meanwhile."""
    with aws_errors_mapped(clients):
        try:
            clients.dynamodb.delete_item(
                TableName=f"{stack}-dedupe",
                Key={"pk": {"S": record.key}},
                ConditionExpression="#state = :done AND completed_at = :seen",
                ExpressionAttributeNames={"#state": "state"},
                ExpressionAttributeValues={
                    ":done": {"S": "done"},
                    ":seen": {"N": str(record.completed_ms)},
                },
            )
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") != "ConditionalCheckFailedException":
                raise
            return False
    return True


async def database_findings(database: Database, moment: datetime) -> list[Finding]:
    """Whether the database is at that moment, and what it wants to say again."""
    async with database.transaction() as connection:
        latest: Any = await connection.scalar(LATEST)
        unsent = int(await connection.scalar(UNSENT) or 0)
    return [_is_at(latest, moment), _outbox(unsent)]


def dedupe_finding(records: Counter[str]) -> Finding:
    """What the dedupe table knows of work whose effect is gone."""
    if not records:
        return fine("dedupe", "no work is recorded as done after that moment")
    listed = ", ".join(f"{count:,} of {queue}" for queue, count in sorted(records.items()))
    return wrong(
        "dedupe",
        f"{records.total():,} records say that work is done whose effect is gone: {listed}",
        "`billfleet reconcile --restored-to … --forget --yes` forgets them, so that the work can "
        "be sent again. Work that never reached the database (mails) will be done a second time.",
    )


def gateway_finding(gateway: str) -> Finding:
    """Payments taken after that moment, which the database does not know."""
    if gateway == "log":
        return fine("gateway", "payments are only written to the log")
    return doubtful(
        "gateway",
        "payments taken after that moment are unknown to the database",
        "Before workers start, run `billfleet sweep collect --dry-run`: each bill that it names is "
        "charged with the key that it had, so within 24 hours the gateway answers with the "
        "payment that it took. If more time has passed, let the collect workers run with "
        "BILLFLEET_ASK_GATEWAY_FIRST=true until all of them are through: it is asked before it is "
        "told.",
    )


def sources_finding(moment: datetime) -> Finding:
    """What to send again so that nothing is missing."""
    return doubtful(
        "to send again",
        f"what senders sent after {moment:%Y-%m-%d %H:%M} UTC and workers finished is in no queue",
        "Sweeps find by themselves what is due. Other senders repeat what they sent since; their "
        "dedupe keys turn away what the database still has.",
    )


def _is_at(latest: datetime | None, moment: datetime) -> Finding:
    if latest is None:
        return doubtful(
            "database", "the ledger is empty", "Is this the database that was restored?"
        )
    if latest > moment:
        return wrong(
            "database",
            f"the ledger has rows of {latest:%Y-%m-%d %H:%M:%S} UTC, after the moment given",
            "Stop the workers first, restore, and give the moment that was restored to.",
        )
    return fine("database", f"its latest transfer is of {latest:%Y-%m-%d %H:%M:%S} UTC")


def _outbox(unsent: int) -> Finding:
    if not unsent:
        return fine("outbox", "nothing waits to be sent")
    return fine(
        "outbox",
        f"{unsent:,} events will be sent, some of them again; subscribers turn those away",
    )


def _ms(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
