"""What one worker has in memory before its first message: its own, and no other worker's."""

import os
import subprocess
import sys

OPENED = """
import asyncio, sys
from billfleet_workers.main.fleet_workers import SPECS
from billfleet_workers.main.parts import open_queue
from billfleet_workers.main.shared import open_shared
from billfleet_workers.settings import Settings
import billfleet_workers.main.fleet

async def open_worker():
    async with open_shared(Settings()) as shared:
        await open_queue(shared, sys.argv[1])
        await SPECS[sys.argv[1]].open(shared)
        print(*sorted({name.partition(".")[0] for name in sys.modules}))

asyncio.run(open_worker())
"""
HEAVY = {
    "PIL",
    "aiobotocore",
    "aiohttp",
    "alembic",
    "babel",
    "boto3",
    "cryptography",
    "css_inline",
    "datasketches",
    "email_validator",
    "fastapi",
    "fpdf",
    "iso4217",
    "jinja2",
    "numpy",
    "opentelemetry",
    "pyarrow",
    "starlette",
    "stripe",
    "xlsxwriter",
    "yaml",
}


def loaded_by(worker: str) -> set[str]:
    environment = {
        **os.environ,
        "AWS_ACCESS_KEY_ID": "nobody",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_REGION": "us-east-1",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "BILLFLEET_STACK": "light",
        "DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none",
        "no_proxy": "*",
    }
    command = [sys.executable, "-c", OPENED, worker]
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr
    return set(ran.stdout.split())


def test_worker_of_a_queue_and_the_database_loads_no_heavy_library() -> None:
    """aiohttp and aiobotocore alone are 11 MB of the 90 that an idle worker may have."""
    loaded = loaded_by("rebill")
    assert {"asyncpg", "botocore", "httptools"} <= loaded
    assert loaded & HEAVY == set()
