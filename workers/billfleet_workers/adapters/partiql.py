"""Batches of DynamoDB writes whose every answer is read.

The dedupe store calls it. It cuts statements to what `BatchExecuteStatement` takes, runs the
batches at the same time, asks again for the statements that DynamoDB was too busy for, and gives
back one result a statement. HTTP 200 says nothing about the statements of a batch. It must not
know what a record means.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple, Protocol, TypeVar

from billfleet_workers.adapters.aws_errors import MISCONFIGURATIONS, PASSING
from billfleet_workers.runtime.errors import Misconfigured, Unavailable

STATEMENTS_MAX = 25
ROUNDS_MAX = 4
FIRST_PAUSE_S = 0.05
EXPECTED = frozenset({"DuplicateItem", "ConditionalCheckFailed"})
"""What a statement may be answered in the normal course of things."""

T = TypeVar("T")

Value = Mapping[str, Any]
"""A DynamoDB attribute value, `{"S": "text"}`."""


_NO_ITEM: Mapping[str, Value] = {}


class Statement(NamedTuple):
    """A PartiQL statement and its parameters."""

    text: str
    parameters: Sequence[Value]


class Result(NamedTuple):
    """What became of a statement: `code` is None where it went through."""

    code: str | None
    item: Mapping[str, Value] = _NO_ITEM
    reason: str = ""


_DONE = Result(None)


class Execute(Protocol):
    """Runs one batch of at most 25 statements and returns its aligned responses."""

    async def __call__(
        self, statements: Sequence[Mapping[str, Any]]
    ) -> Sequence[Mapping[str, Any]]:
        """Make the call; errors are already translated."""
        ...


async def run_statements(
    statements: Sequence[Statement],
    execute: Execute,
    sleep: Callable[[float], Awaitable[None]],
    dependency: str,
) -> list[Result]:
    """Run them all, in batches; the results are aligned with the statements.

    `Unavailable` if DynamoDB stays too busy for some of them, `Misconfigured` if it can't be
    used at all. A statement may then have gone through: every one of ours may be repeated.
    """
    results = await _run_round(statements, execute)
    for turn in range(ROUNDS_MAX - 1):
        waiting = [n for n, result in enumerate(results) if result.code in PASSING]
        if not waiting:
            break
        await sleep(FIRST_PAUSE_S * 2**turn)
        again = await _run_round([statements[n] for n in waiting], execute)
        for n, result in zip(waiting, again, strict=True):
            results[n] = result
    for result in results:
        _refuse_to_go_on(result, dependency)
    return results


async def _run_round(statements: Sequence[Statement], execute: Execute) -> list[Result]:
    if len(statements) <= STATEMENTS_MAX:
        return await _run_chunk(statements, execute) if statements else []
    starts = range(0, len(statements), STATEMENTS_MAX)
    parts = await all_of(
        _run_chunk(statements[start : start + STATEMENTS_MAX], execute) for start in starts
    )
    return list(chain.from_iterable(parts))


async def all_of(calls: Iterable[Awaitable[T]]) -> list[T]:
    """Make the calls at the same time, wait for all of them, then raise the first error."""
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    results: list[T] = []
    for outcome in outcomes:
        if isinstance(outcome, BaseException):
            raise outcome
        results.append(outcome)
    return results


async def _run_chunk(statements: Sequence[Statement], execute: Execute) -> list[Result]:
    responses = await execute(
        [{"Statement": text, "Parameters": parameters} for text, parameters in statements]
    )
    return [_read_response(response) for response in responses]


def _read_response(response: Mapping[str, Any]) -> Result:
    error = response.get("Error")
    if error:
        return Result(str(error.get("Code", "Unknown")), reason=str(error.get("Message", "")))
    item = response.get("Item")
    return Result(None, item) if item else _DONE


def _refuse_to_go_on(result: Result, dependency: str) -> None:
    if result.code is None or result.code in EXPECTED:
        return
    text = f"a statement was answered {result.code}: {result.reason}"
    if result.code in MISCONFIGURATIONS:
        raise Misconfigured(dependency, f"{text}; {MISCONFIGURATIONS[result.code]}")
    raise Unavailable(dependency, text)
