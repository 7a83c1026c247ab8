"""The audit trail on DynamoDB: the table `<stack>-audit`, by tenant and time.

The view's worker and a command use it through `runtime.ports.audit`. DynamoDB forgets entries by
its TTL, some time after they have expired; they are not shown any more before that.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Self

from billfleet_workers.adapters.aws_client import AwsClients
from billfleet_workers.adapters.aws_errors import Refused, aws_call
from billfleet_workers.adapters.partiql import all_of
from billfleet_workers.runtime.clock import Clock
from billfleet_workers.runtime.errors import Unavailable
from billfleet_workers.runtime.ports.audit import AuditEntry

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient

WRITES_MAX = 25
ROUNDS_MAX = 6
FIRST_PAUSE_S = 0.05
_NAMES = {"Event": "event", "Subject": "subject", "Reason": "reason", "WorkId": "work_id"}


class DynamoAuditTrail:
    """The table of one stack. It owns its connections."""

    def __init__(self, client: "DynamoDBClient", *, stack: str, clock: Clock) -> None:
        self._client = client
        self._clock = clock
        self._table = f"{stack}-audit"
        self.dependency = f"DynamoDB table {self._table}"

    @classmethod
    async def open(cls, clients: AwsClients, *, stack: str, clock: Clock) -> Self:
        """Make the client. Nothing is asked of DynamoDB before the first call."""
        return cls(await clients.open_dynamodb(pool_size=4), stack=stack, clock=clock)

    async def put(self, entries: Sequence[AuditEntry]) -> None:
        """Write them in the largest batches that DynamoDB takes."""
        items = {(entry.tenant, _at(entry)): _item(entry) for entry in entries}
        requests = [{"PutRequest": {"Item": item}} for item in items.values()]
        chunks = [requests[n : n + WRITES_MAX] for n in range(0, len(requests), WRITES_MAX)]
        await all_of(self._write(chunk) for chunk in chunks)

    async def latest(self, tenant: str, *, since: datetime, limit: int) -> Sequence[AuditEntry]:
        """One query, read consistently."""
        answer = await self._call(
            "query",
            TableName=self._table,
            KeyConditionExpression="Tenant = :tenant AND #at >= :since",
            ExpressionAttributeNames={"#at": "At"},
            ExpressionAttributeValues={":tenant": {"S": tenant}, ":since": {"S": _text(since)}},
            ScanIndexForward=False,
            ConsistentRead=True,
            Limit=limit,
        )
        found = [_entry(item) for item in answer.get("Items", ())]
        return [entry for entry in found if entry.expires_at > self._clock.now()]

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()

    async def _write(self, requests: Sequence[Mapping[str, Any]]) -> None:
        waiting: Sequence[Mapping[str, Any]] = requests
        for turn in range(ROUNDS_MAX):
            if turn:
                await self._clock.sleep(FIRST_PAUSE_S * 2 ** (turn - 1))
            answer = await self._call("batch_write_item", RequestItems={self._table: waiting})
            waiting = (answer.get("UnprocessedItems") or {}).get(self._table, ())
            if not waiting:
                return
        raise Unavailable(self.dependency, f"{len(waiting)} entries stayed unwritten")

    async def _call(self, operation: str, **parameters: Any) -> Mapping[str, Any]:
        try:
            async with aws_call(self.dependency):
                answer: Mapping[str, Any] = await getattr(self._client, operation)(**parameters)
                return answer
        except Refused as refusal:
            raise Unavailable(self.dependency, str(refusal)) from refusal


def _text(at: datetime) -> str:
    """Of fixed width, so that text sorts as time does."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"


def _at(entry: AuditEntry) -> str:
    return f"{_text(entry.at)}#{entry.reference}"


def _item(entry: AuditEntry) -> Mapping[str, Mapping[str, str]]:
    return {
        "Tenant": {"S": entry.tenant},
        "At": {"S": _at(entry)},
        "ExpiresAt": {"N": str(int(entry.expires_at.timestamp()))},
        **{name: {"S": getattr(entry, own)} for name, own in _NAMES.items()},
    }


def _entry(item: Mapping[str, Mapping[str, str]]) -> AuditEntry:
    at, _, reference = item["At"]["S"].partition("#")
    return AuditEntry(
        tenant=item["Tenant"]["S"],
        at=datetime.fromisoformat(at),
        reference=reference,
        expires_at=datetime.fromtimestamp(int(item["ExpiresAt"]["N"]), UTC),
        **{own: item[name]["S"] for name, own in _NAMES.items()},
    )
