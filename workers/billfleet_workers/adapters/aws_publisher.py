"""The publisher port on SQS and SNS.

The outbox relay uses it through `runtime.ports.publisher`. It finds queues and topics by their
catalogue names, packs letters by count and bytes, and reports every entry. Topic messages carry
`type` and `tenant` as attributes, for filter policies. It must not open a letter.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Self

from billfleet_workers.adapters.aws_client import AwsClients
from billfleet_workers.adapters.aws_errors import Refused, aws_call
from billfleet_workers.adapters.message_form import (
    letter_attributes,
    letter_bytes,
    letter_bytes_max,
    message_attributes,
    refuse_too_large,
)
from billfleet_workers.adapters.sqs import FIFO, QueueUrls
from billfleet_workers.adapters.sqs_batch import Batch, BatchCall, Entries, Entry, pack, run_batches
from billfleet_workers.runtime.errors import Misconfigured
from billfleet_workers.runtime.ports.publisher import Letter
from billfleet_workers.runtime.ports.queue import EntryFailure

if TYPE_CHECKING:
    from types_aiobotocore_sns import SNSClient
    from types_aiobotocore_sqs import SQSClient
    from types_aiobotocore_sts import STSClient

Route = tuple[Literal["queue", "topic"], str]


class TopicArns:
    """Finds the ARNs of the stack's topics: by name, in the account of the credentials."""

    def __init__(self, client: "STSClient", *, stack: str, region: str) -> None:
        self._client = client
        self._stack = stack
        self._region = region
        self._prefix: str | None = None

    async def find(self, name: str) -> str:
        """The ARN of `<stack>-<name>`. Whether it exists is seen when it is used."""
        if self._prefix is None:
            try:
                async with aws_call("STS"):
                    caller = await self._client.get_caller_identity()
            except Refused as refusal:
                raise Misconfigured("STS", str(refusal)) from refusal
            partition = caller["Arn"].split(":")[1]
            self._prefix = f"arn:{partition}:sns:{self._region}:{caller['Account']}:{self._stack}-"
        return self._prefix + name

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()


class AwsPublisher:
    """Publishes to the queues and topics of one stack. It owns its connections."""

    def __init__(
        self, sqs: "SQSClient", sns: "SNSClient", *, urls: QueueUrls, arns: TopicArns
    ) -> None:
        self._sqs = sqs
        self._sns = sns
        self._urls = urls
        self._arns = arns

    @classmethod
    async def open(cls, clients: AwsClients, *, stack: str) -> Self:
        """Make the clients. Nothing is asked of AWS before the first letter."""
        sqs = await clients.open_sqs(pool_size=8)
        arns = TopicArns(await clients.open_sts(), stack=stack, region=clients.region)
        return cls(sqs, await clients.open_sns(), urls=QueueUrls(sqs, stack), arns=arns)

    async def publish(self, letters: Sequence[Letter]) -> Sequence[EntryFailure | None]:
        """Send them all, all routes at the same time; the answer is aligned."""
        too_large = [refuse_too_large(letter) for letter in letters]
        positions_by_route: dict[Route, list[int]] = {}
        for position, letter in enumerate(letters):
            if too_large[position] is None:
                route = (letter.route_kind, letter.route_name)
                positions_by_route.setdefault(route, []).append(position)
        batches = [
            batch
            for route, positions in positions_by_route.items()
            for batch in self._batches(route, positions, letters)
        ]
        answers = await run_batches(batches, [_entry(letter) for letter in letters])
        return [refused or answer for refused, answer in zip(too_large, answers, strict=True)]

    def _batches(
        self, route: Route, positions: Sequence[int], letters: Sequence[Letter]
    ) -> list[Batch]:
        call = self._call(route)
        sizes = [letter_bytes(letters[position]) for position in positions]
        packed = pack(sizes, bytes_max=letter_bytes_max(letters[positions[0]]))
        return [Batch(call, [positions[n] for n in members]) for members in packed]

    def _call(self, route: Route) -> BatchCall:
        kind, name = route

        async def send(entries: Entries) -> Mapping[str, Any]:
            url = await self._urls.find(name)
            async with aws_call(f"SQS queue {name}"):
                return await self._sqs.send_message_batch(
                    QueueUrl=url,
                    Entries=entries,
                )

        async def announce(entries: Entries) -> Mapping[str, Any]:
            arn = await self._arns.find(name)
            async with aws_call(f"SNS topic {name}"):
                return await self._sns.publish_batch(
                    TopicArn=arn,
                    PublishBatchRequestEntries=entries,
                )

        return send if kind == "queue" else announce

    async def close(self) -> None:
        """Close the connections."""
        await self._sqs.close()
        await self._sns.close()
        await self._arns.close()


def _entry(letter: Letter) -> Entry:
    if letter.route_kind == "topic":
        attributes = message_attributes(letter_attributes(letter))
        return {"Message": letter.body, "MessageAttributes": attributes}
    entry: Entry = {"MessageBody": letter.body}
    if letter.group_id:
        entry["MessageGroupId"] = letter.group_id
    if letter.route_name.endswith(FIFO):
        # An outbox event's id follows from its tenant and dedupe key, so a repeat has the same.
        entry["MessageDeduplicationId"] = letter.event_id
    return entry
