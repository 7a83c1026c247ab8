"""An export worker that is killed in its work: the next one begins again, with one file."""

import asyncio
import os
import signal
import sys
import uuid
from pathlib import Path

import pytest
from sqlalchemy import text

from billfleet_contracts import ExportRequested, encode, wrap
from billfleet_db import Database
from billfleet_ops.clients import Clients
from billfleet_ops.local.aws import EmbeddedAws
from billfleet_workers.runtime.clock import SystemClock
from export_world import SEED

ROWS = 300_000
"""Twenty parts: a worker is at it for more than a second."""
FILL = """
    INSERT INTO billing.transfers (tenant_id, transfer_key, kind, account_id, period_start,
                                   debit_id, credit_id, amount_minor, currency, reason, work_id)
    SELECT 'acme', 'k' || n, 'payment', 'acc-1', '2026-01-01', 2, 1, n, 'EUR', repeat('x', 200),
           'test'
    FROM generate_series(1, :rows) n
"""


async def prepare(superuser: Database) -> None:
    async with superuser.transaction() as connection:
        for statement in SEED.split(";"):
            await connection.execute(text(statement))
        await connection.execute(text("SET LOCAL session_replication_role = replica"))
        await connection.execute(text(FILL), {"rows": ROWS})


async def start(environment: dict[str, str], log: Path) -> asyncio.subprocess.Process:
    with log.open("ab") as words:
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "billfleet_ops", "worker", "run", "export"),
            env=environment,
            stdout=words,
            stderr=words,
        )


async def until(database: Database, condition: str) -> None:
    """Wait until the export is as the condition says."""
    query = text(f"SELECT count(*) FROM fleet.exports WHERE {condition}")
    async with asyncio.timeout(60):
        while True:
            async with database.transaction() as connection:
                if (await connection.execute(query)).scalar_one():
                    return
            await asyncio.sleep(0.05)


async def until_begun(aws: Clients, bucket: str) -> None:
    """Wait until an upload has begun; asked of the store, since progress is told less often."""
    async with asyncio.timeout(60):
        while True:
            if aws.s3.list_multipart_uploads(Bucket=bucket).get("Uploads"):
                return
            await asyncio.sleep(0.01)


@pytest.mark.timeout(180)
async def test_worker_killed_in_mid_export_leaves_nothing_and_the_next_one_makes_the_file(
    deployed_stack: str,
    aws: Clients,
    embedded_aws: EmbeddedAws,
    database: Database,
    database_url: str,
    superuser_database: Database,
    tmp_path: Path,
) -> None:
    """R82, R83."""
    await prepare(superuser_database)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
        **embedded_aws.environment(),
        "DATABASE_URL": database_url,
        "BILLFLEET_STACK": deployed_stack,
        "BILLFLEET_HOME": str(tmp_path / "home"),
        "BILLFLEET_LEASE_S": "3",
    }
    bucket, log = f"{deployed_stack}-files", tmp_path / "log"
    export_id = str(uuid.uuid4())
    request = ExportRequested(export_id=export_id, dataset="ledger", format="csv")
    body = encode(wrap(request, tenant="acme", source="/test", now=SystemClock().now()))
    url = aws.sqs.get_queue_url(QueueName=f"{deployed_stack}-export")["QueueUrl"]
    aws.sqs.send_message(QueueUrl=url, MessageBody=body, MessageGroupId="acme")

    doomed = await start(environment, log)
    await until_begun(aws, bucket)
    doomed.send_signal(signal.SIGKILL)
    await doomed.wait()
    assert "Contents" not in aws.s3.list_objects_v2(Bucket=bucket)
    assert len(aws.s3.list_multipart_uploads(Bucket=bucket)["Uploads"]) == 1

    living = await start(environment, log)
    await until(database, "state = 'ready'")
    living.send_signal(signal.SIGTERM)
    assert await living.wait() == 0, log.read_text()[-2000:]
    assert not aws.s3.list_multipart_uploads(Bucket=bucket).get("Uploads")
    stored, _manifest = aws.s3.list_objects_v2(Bucket=bucket)["Contents"]
    async with database.transaction() as connection:
        row = (
            await connection.execute(
                text("SELECT rows_written, bytes_count, tries FROM fleet.exports")
            )
        ).one()
        told = await connection.execute(
            text("SELECT count(*) FROM fleet.outbox WHERE event_type LIKE '%export_ready%'")
        )
        assert told.scalar_one() == 1
    assert (row.rows_written, row.tries) == (ROWS, 2)
    assert stored["Size"] == row.bytes_count
    assert "Traceback" not in log.read_text()
