"""Batches of DynamoDB writes whose every answer is read.

The dedupe store calls it. It cuts statements to what `BatchExecuteStatement` takes, runs the
batches at the same time, asks again for the statements that DynamoDB was too busy for, and gives
back one result a statement. HTTP 200 says nothing about the statements of a batch. It must not
know what a record means.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

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


@dataclass(frozen=True, slots=True)
class Statement:
    """A PartiQL statement and its parameters."""

    text: str
    parameters: Sequence[Value]


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a statement: `code` is None where it went through."""

    code: str | None
    item: Mapping[str, Value] = field(default_factory=dict)
    reason: str = ""


class Execute(Protocol):
    """Runs one batch of at most 25 statements and returns its aligned responses."""

    async def __call__(self, statements: list[dict[str, Any]]) -> Sequence[Mapping[str, Any]]:
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
    results: dict[int, Result] = {}
    waiting = list(range(len(statements)))
    for turn in range(ROUNDS_MAX):
        if turn:
            await sleep(FIRST_PAUSE_S * 2 ** (turn - 1))
        results.update(await _run_round(statements, waiting, execute))
        waiting = [n for n in waiting if results[n].code in PASSING]
        if not waiting:
            break
    for result in results.values():
        _refuse_to_go_on(result, dependency)
    return [results[position] for position in range(len(statements))]


async def _run_round(
    statements: Sequence[Statement], waiting: Sequence[int], execute: Execute
) -> list[tuple[int, Result]]:
    chunks = [waiting[n : n + STATEMENTS_MAX] for n in range(0, len(waiting), STATEMENTS_MAX)]
    parts = await all_of(_run_chunk([statements[n] for n in chunk], execute) for chunk in chunks)
    return [
        pair
        for chunk, part in zip(chunks, parts, strict=True)
        for pair in zip(chunk, part, strict=True)
    ]


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
        [{"Statement": one.text, "Parameters": list(one.parameters)} for one in statements]
    )
    return [_read_response(response) for response in responses]


def _read_response(response: Mapping[str, Any]) -> Result:
    error = response.get("Error")
    if error:
        return Result(str(error.get("Code", "Unknown")), reason=str(error.get("Message", "")))
    return Result(None, item=response.get("Item") or {})


def _refuse_to_go_on(result: Result, dependency: str) -> None:
    if result.code is None or result.code in EXPECTED:
        return
    text = f"a statement was answered {result.code}: {result.reason}"
    if result.code in MISCONFIGURATIONS:
        raise Misconfigured(dependency, f"{text}; {MISCONFIGURATIONS[result.code]}")
    raise Unavailable(dependency, text)
