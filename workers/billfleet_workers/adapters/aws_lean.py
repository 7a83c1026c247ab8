"""Lean clients of SQS and DynamoDB: the calls that every message pays for, without the SDK.

`main` takes `LeanAwsClients` instead of `AwsClients` where `BILLFLEET_AWS_CLIENT` says so. SNS and
STS stay with the SDK, and so does everything where a proxy stands before AWS. It must not know
what any call is for.
"""

from collections.abc import Callable
from functools import cached_property
from typing import TYPE_CHECKING, cast

import structlog
from botocore.session import Session, get_session

from billfleet_producers.lean.client import LeanClient
from billfleet_producers.lean.json_protocol import Patience
from billfleet_producers.lean.json_service import JsonService
from billfleet_producers.lean.opening import open_service
from billfleet_producers.lean.places import LeanService, Manner
from billfleet_workers.adapters.aws_client import (
    CONNECT_TIMEOUT_S,
    READ_TIMEOUT_S,
    USER_AGENT,
    AwsClients,
)
from billfleet_workers.adapters.aws_errors import PASSING, aws_call
from billfleet_workers.runtime.clock import Clock

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient
    from types_aiobotocore_sqs import SQSClient

log = structlog.get_logger("billfleet.aws")


class LeanAwsClients(AwsClients):
    """Opens lean clients of SQS and DynamoDB, and the SDK's of what else there is."""

    def __init__(
        self,
        *,
        region: str,
        clock: Clock,
        jitter: Callable[[], float],
        endpoint_url: str | None = None,
        attempts_max: int = 3,
    ) -> None:
        super().__init__(region=region, endpoint_url=endpoint_url, attempts_max=attempts_max)
        self._clock = clock
        self._jitter = jitter

    @cached_property
    def _lean_session(self) -> Session:
        """botocore's own: one for event loops is 11 MB more, and is not needed here."""
        return get_session()

    async def open_sqs(self, *, pool_size: int = 32) -> "SQSClient":
        """A client of SQS."""
        service = await self._open_lean("sqs", pool_size)
        if service is None:
            return await super().open_sqs(pool_size=pool_size)
        return cast("SQSClient", LeanClient(service))

    async def open_dynamodb(self, *, pool_size: int = 32) -> "DynamoDBClient":
        """A client of DynamoDB."""
        service = await self._open_lean("dynamodb", pool_size)
        if service is None:
            return await super().open_dynamodb(pool_size=pool_size)
        return cast("DynamoDBClient", LeanClient(service))

    async def _open_lean(self, name: LeanService, pool_size: int) -> JsonService | None:
        def on_skew(by_s: float) -> None:
            log.warning(
                "clock_is_off",
                service=name,
                by_s=round(by_s),
                do="requests are signed with the service's time; set this machine's clock",
            )

        manner = Manner(
            user_agent=USER_AGENT,
            on_skew=on_skew,
            patience=Patience(self._attempts_max, PASSING),
            jitter=self._jitter,
            connections_max=pool_size,
            connect_timeout_s=CONNECT_TIMEOUT_S,
            read_timeout_s=READ_TIMEOUT_S,
        )
        async with aws_call(name.upper()):
            return await open_service(
                self._lean_session,
                name,
                region=self.region,
                endpoint_url=self._endpoint_url,
                manner=manner,
                clock=self._clock,
            )
