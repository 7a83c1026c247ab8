"""A client by botocore's names, over the lean way to AWS.

Whoever would call botocore's client calls it the same way: `await client.receive_message(...)`.
Operations take and return what the service's JSON does, which for SQS and DynamoDB is what
botocore takes and returns too, except for binary values: those are not translated.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from billfleet_producers.lean.json_service import JsonService

ONE_WORD = frozenset({"query", "scan"})
"""Operations of DynamoDB without an underscore; any other such name is no operation."""

Operation = Callable[..., Awaitable[Mapping[str, Any]]]


class LeanClient:
    """One service's operations, each made when it is first asked for."""

    def __init__(self, service: JsonService) -> None:
        self._service = service
        self.close = service.close

    def __getattr__(self, name: str) -> Operation:
        if name.startswith("_") or ("_" not in name and name not in ONE_WORD):
            raise AttributeError(f"no operation of AWS is called {name}")
        operation = "".join(part.capitalize() for part in name.split("_"))
        call = self._service.call

        async def operate(**parameters: Any) -> Mapping[str, Any]:
            return await call(operation, parameters)

        # Found like any other attribute from now on.
        setattr(self, name, operate)
        return operate
