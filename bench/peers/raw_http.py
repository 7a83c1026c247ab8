"""The floor: signed HTTP and nothing else, ten receivers, batch deletes, no dedupe.

`BENCH_SIGNER=botocore` signs with botocore's signer; otherwise the few lines here do.
"""

import asyncio
import hashlib
import hmac
import json
import os
import signal
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import uvloop
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from peers.effects import Effects
from peers.place import HANDLER_S, QUEUE_URL, RECEIVERS, REGION, SQS_URL

TYPE = "application/x-amz-json-1.0"
KEY, SECRET = os.environ["AWS_ACCESS_KEY_ID"], os.environ["AWS_SECRET_ACCESS_KEY"]
HOST = urlsplit(SQS_URL).netloc
_keys: dict[str, bytes] = {}


def _key(day: str) -> bytes:
    if day not in _keys:
        key = f"AWS4{SECRET}".encode()
        for part in (day, REGION, "sqs", "aws4_request"):
            key = hmac.digest(key, part.encode(), "sha256")
        _keys[day] = key
    return _keys[day]


def sign(target: str, body: bytes) -> dict[str, str]:
    """Headers of a signed request, with the key of the day kept."""
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%SZ")
    scope = f"{stamp[:8]}/{REGION}/sqs/aws4_request"
    names = "content-type;host;x-amz-date;x-amz-target"
    canonical = (
        f"POST\n/\n\ncontent-type:{TYPE}\nhost:{HOST}\nx-amz-date:{stamp}\n"
        f"x-amz-target:{target}\n\n{names}\n{hashlib.sha256(body).hexdigest()}"
    )
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    to_sign = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{digest}"
    signature = hmac.digest(_key(stamp[:8]), to_sign.encode(), "sha256").hex()
    credential = f"Credential={KEY}/{scope}, SignedHeaders={names}, Signature={signature}"
    return {
        "Content-Type": TYPE,
        "X-Amz-Date": stamp,
        "X-Amz-Target": target,
        "Authorization": f"AWS4-HMAC-SHA256 {credential}",
    }


def sign_with_botocore(target: str, body: bytes) -> dict[str, str]:
    """The same through botocore's signer."""
    headers = {"Content-Type": TYPE, "X-Amz-Target": target}
    request = AWSRequest("POST", SQS_URL + "/", headers=headers, data=body)
    SigV4Auth(Credentials(KEY, SECRET), "sqs", REGION).add_auth(request)
    return dict(request.headers.items())


signed = sign_with_botocore if os.environ.get("BENCH_SIGNER") == "botocore" else sign


async def ask(http: aiohttp.ClientSession, operation: str, **parameters: object) -> Any:
    """One call."""
    target, body = f"AmazonSQS.{operation}", json.dumps(parameters).encode()
    async with http.post(SQS_URL + "/", data=body, headers=signed(target, body)) as response:
        return json.loads(await response.read())


async def receive(http: aiohttp.ClientSession, effects: Effects) -> None:
    """Receive, handle, delete; for ever."""
    while True:
        answer = await ask(
            http, "ReceiveMessage", QueueUrl=QUEUE_URL, MaxNumberOfMessages=10, WaitTimeSeconds=20
        )
        entries = []
        for number, message in enumerate(answer.get("Messages", ())):
            begun = effects.begin(message["Body"])
            if HANDLER_S:
                await asyncio.sleep(HANDLER_S)
            effects.end(begun)
            entries.append({"Id": str(number), "ReceiptHandle": message["ReceiptHandle"]})
        if entries:
            await ask(http, "DeleteMessageBatch", QueueUrl=QUEUE_URL, Entries=entries)


async def main() -> None:
    """Ten receivers until SIGTERM."""
    effects, stop = Effects(), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with aiohttp.ClientSession() as http:
        tasks = [asyncio.create_task(receive(http, effects)) for _ in range(RECEIVERS)]
        await stop.wait()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


if __name__ == "__main__":
    uvloop.run(main())
