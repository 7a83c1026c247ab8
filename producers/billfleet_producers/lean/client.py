"""A client by botocore's names, over the lean way to AWS.

Whoever would call botocore's client calls it the same way: `await client.receive_message(...)`, or
without `await` over a blocking service.
Operations take and return what the service's JSON does, which for SQS and DynamoDB is what
botocore takes and returns too, except for binary values: those are not translated.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from billfleet_producers.lean.json_service import BlockingJsonService, JsonService

ONE_WORD = frozenset({"query", "scan"})
"""Operations of DynamoDB without an underscore; any other such name is no operation."""

Operation = Callable[..., Any]


class LeanClient:
    """One service's operations, each made when it is first asked for."""

    def __init__(self, service: JsonService | BlockingJsonService) -> None:
        self._call: Callable[[str, dict[str, Any]], Any] = service.call
        self.close: Callable[[], Any] = service.close

    def __getattr__(self, name: str) -> Operation:
        if name.startswith("_") or ("_" not in name and name not in ONE_WORD):
            raise AttributeError(f"no operation of AWS is called {name}")
        operation = "".join(part.capitalize() for part in name.split("_"))
        call = self._call

        def operate(**parameters: Any) -> Any:
            return call(operation, parameters)

        # Found like any other attribute from now on.
        setattr(self, name, operate)
        return operate
