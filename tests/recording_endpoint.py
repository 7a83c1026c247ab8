"""An AWS endpoint that writes down which permission every call needs.

A proxy on loopback before the emulator. Tests point a worker at it and compare what it called
with what it declares. It reads calls the way IAM names them: the batch forms of SQS are their
single action, PartiQL is one action per kind of statement.
"""

import json
import re
from urllib.parse import parse_qs

from aiohttp import web

from billfleet_workers.main.permissions import Permission
from faulty_endpoint import FaultPlan, FaultyEndpoint

_STATEMENT = re.compile(r'^\s*(INSERT|UPDATE|DELETE|SELECT)\b.*?"([^"]+)"', re.DOTALL)
_FREE = {"GetCallerIdentity"}
"""Actions that need no permission."""
_OBJECT_ACTIONS = {"PUT": "PutObject", "POST": "PutObject", "GET": "GetObject", "HEAD": "GetObject"}


class RecordingEndpoint(FaultyEndpoint):
    """Use as `async with RecordingEndpoint(upstream, stack) as endpoint`; see `needed`."""

    def __init__(self, upstream: str, stack: str) -> None:
        super().__init__(upstream, FaultPlan(seed=0))
        self._prefix = f"{stack}-"
        self.needed: set[Permission] = set()

    async def _forward(self, request: web.Request, body: bytes) -> web.Response:
        self.needed |= {
            Permission(action, resource.removeprefix(self._prefix))
            for action, resource in self._read(request, body)
        }
        return await super()._forward(request, body)

    def _read(self, request: web.Request, body: bytes) -> list[tuple[str, str]]:
        service, _, operation = request.headers.get("X-Amz-Target", "").partition(".")
        if service == "AmazonSQS":
            said = json.loads(body)
            queue = said.get("QueueName") or said["QueueUrl"].rpartition("/")[2]
            return [(f"sqs:{operation.removesuffix('Batch')}", queue)]
        if service.startswith("DynamoDB"):
            return _dynamodb(operation, json.loads(body))
        if b"Action=" in body:
            fields = parse_qs(body.decode())
            action = fields["Action"][0]
            topic = fields.get("TopicArn", [""])[0].rpartition(":")[2]
            return [] if action in _FREE else [(f"sns:{action.removesuffix('Batch')}", topic)]
        if "/email/" in request.path:
            raw = [("ses:SendRawEmail", "identity")] if b'"Raw"' in body else []
            return [("ses:SendEmail", "identity"), *raw]
        return [_s3(request)]


def _dynamodb(operation: str, said: dict[str, object]) -> list[tuple[str, str]]:
    if operation in {"BatchExecuteStatement", "ExecuteStatement"}:
        listed = said.get("Statements", [said])
        assert isinstance(listed, list)
        found = [_STATEMENT.match(one["Statement"]) for one in listed]
        return [(f"dynamodb:PartiQL{match[1].capitalize()}", match[2]) for match in found if match]
    if "RequestItems" in said:
        tables = said["RequestItems"]
        assert isinstance(tables, dict)
        return [(f"dynamodb:{operation}", table) for table in tables]
    index = f"/index/{said['IndexName']}" if "IndexName" in said else ""
    return [(f"dynamodb:{operation}", f"{said['TableName']}{index}")]


def _s3(request: web.Request) -> tuple[str, str]:
    bucket, _, key = request.path.lstrip("/").partition("/")
    if not key:
        return (
            "s3:ListBucketMultipartUploads" if "uploads" in request.query else "s3:ListBucket",
            bucket,
        )
    place = f"{bucket}/{key.partition('/')[0]}/*"
    if request.method == "DELETE":
        return (
            "s3:AbortMultipartUpload" if "uploadId" in request.query else "s3:DeleteObject",
            place,
        )
    return (f"s3:{_OBJECT_ACTIONS[request.method]}", place)
