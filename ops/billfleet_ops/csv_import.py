"""An import from file to committed accounts: all of it or, unless told otherwise, none of it.

The `accounts import` command calls it, tests and the demo too. Rows are read, checked and copied
in batches, so that a file of any length fits; every bad row is kept with its line. It knows the
order of the steps, and neither SQL nor the terminal.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from re import fullmatch

from sqlalchemy.ext.asyncio import AsyncConnection

from billfleet_contracts.fields import TENANT_PATTERN
from billfleet_db import Database, importing
from billfleet_db.importing import StagedAccount, StagedProblem, TakenOver
from billfleet_ops.account_columns import Problem, parse_row
from billfleet_ops.column_sources import Sources, sources_of
from billfleet_ops.csv_file import Broken, CsvFile
from billfleet_ops.errors import Refused, UsageWrong
from billfleet_ops.rejected_rows import refuse_to_overwrite, write_rejected

BATCH_ROWS = 5000
NO_COLUMN = "(row)"
_NOTHING = TakenOver(
    inserted=0,
    updated=0,
    unchanged=0,
    kept=0,
    is_new_tenant=False,
    plans_created=0,
    first_due_on=None,
    last_due_on=None,
)

OnProgress = Callable[[int, float], None]
"""Told the number of rows read and the share of the file, after every batch."""


@dataclass(frozen=True, slots=True)
class ImportRequest:
    """What the operator asked for."""

    path: Path
    tenant: str
    mapping: Mapping[str, str] = field(default_factory=dict)
    constants: Mapping[str, str] = field(default_factory=dict)
    encoding: str | None = None
    is_dry_run: bool = False
    skips_bad_rows: bool = False
    updates: bool = False
    creates_tenant: bool = False
    rejected_path: Path | None = None


@dataclass(frozen=True, slots=True)
class BadRow:
    """One thing wrong with one row, under the file's own column name where it has one."""

    line: int
    column: str
    reason: str


@dataclass(frozen=True, slots=True)
class ImportReport:
    """What happened. `is_committed` is false for a dry run and when bad rows stopped it."""

    tenant: str
    rows: int
    is_committed: bool
    taken_over: TakenOver
    bad_rows: tuple[BadRow, ...]
    ignored_columns: tuple[str, ...]
    is_refused: bool
    """Bad rows kept everything out."""
    rejected_path: Path | None = None


class _RolledBack(Exception):
    """Leaves the transaction without keeping anything of it."""


async def import_accounts(
    database: Database, request: ImportRequest, on_progress: OnProgress = lambda *_: None
) -> ImportReport:
    """Import the file in one transaction.

    Raises:
        FileUnusable: the file can't be read as CSV.
        UsageWrong: the tenant's id, `mapping` or `constants` don't fit.
        Refused: the tenant is unknown and was not to be created, or rejected rows would be
            written over an existing file.
    """
    if not fullmatch(TENANT_PATTERN, request.tenant):
        raise UsageWrong(
            f"{request.tenant!r} is not a tenant id",
            where="--tenant",
            remedy="Use lower-case letters, digits and dashes, at most 63.",
        )
    if request.skips_bad_rows:
        refuse_to_overwrite(_rejected_path(request))
    file = CsvFile(request.path, encoding=request.encoding)
    try:
        sources = sources_of(file.header, request.mapping, request.constants)
        return await _Import(database, request, file, sources, on_progress).run()
    finally:
        file.close()


class _Import:
    """One run: staged, compared, taken over."""

    def __init__(
        self,
        database: Database,
        request: ImportRequest,
        file: CsvFile,
        sources: Sources,
        on_progress: OnProgress,
    ) -> None:
        self._database = database
        self._request = request
        self._file = file
        self._sources = sources
        self._on_progress = on_progress
        self._rows = 0
        self._problems: list[Problem] = []
        self._taken_over = _NOTHING
        self._rejected: Path | None = None

    async def run(self) -> ImportReport:
        is_committed = True
        try:
            async with self._database.transaction() as connection:
                await self._transact(connection)
        except _RolledBack:
            is_committed = False
        except BaseException:
            if self._rejected is not None:
                self._rejected.unlink(missing_ok=True)
            raise
        return self._report(is_committed=is_committed)

    async def _transact(self, connection: AsyncConnection) -> None:
        request = self._request
        await _refuse_unknown_tenant(connection, request)
        await importing.open_staging(connection, request.tenant)
        for batch in self._batches():
            await importing.stage(connection, batch)
            self._on_progress(self._rows, self._file.read_bytes / self._file.size_bytes)
        found = await importing.compare(
            connection, request.tenant, self._sources.provided, may_update=request.updates
        )
        self._problems += [_worded(problem) for problem in found]
        self._problems.sort(key=lambda problem: problem.line)
        if self._problems and not request.skips_bad_rows:
            raise _RolledBack
        await importing.discard(connection, [problem.line for problem in found])
        self._taken_over = await importing.take_over(
            connection, request.tenant, self._sources.provided
        )
        if request.is_dry_run:
            raise _RolledBack
        if self._problems:
            self._rejected = _rejected_path(request)
            write_rejected(self._rejected, request.path, request.encoding, self._problems)

    def _batches(self) -> Iterator[list[StagedAccount]]:
        batch: list[StagedAccount] = []
        for record in self._file.records():
            self._rows += 1
            if isinstance(record, Broken):
                self._problems.append(Problem(record.line, NO_COLUMN, record.reason))
                continue
            parsed = parse_row(record.line, self._sources.texts(record.values))
            if isinstance(parsed, list):
                self._problems += parsed
                continue
            batch.append(parsed)
            if len(batch) == BATCH_ROWS:
                yield batch
                batch = []
        yield batch

    def _report(self, *, is_committed: bool) -> ImportReport:
        named = self._sources.file_columns
        return ImportReport(
            tenant=self._request.tenant,
            rows=self._rows,
            is_committed=is_committed,
            taken_over=self._taken_over,
            bad_rows=tuple(
                BadRow(problem.line, named.get(problem.column, problem.column), problem.reason)
                for problem in self._problems
            ),
            ignored_columns=self._sources.ignored,
            is_refused=bool(self._problems) and not self._request.skips_bad_rows,
            rejected_path=self._rejected,
        )


async def _refuse_unknown_tenant(connection: AsyncConnection, request: ImportRequest) -> None:
    """A mistyped tenant would bill the same people twice, under two names."""
    known = await importing.tenants(connection)
    if request.creates_tenant or request.tenant in known or not known:
        return
    near = get_close_matches(request.tenant, known, n=1)
    raise Refused(
        f"There is no tenant {request.tenant!r}",
        where="--tenant",
        remedy=(f"Did you mean {near[0]!r}? " if near else "")
        + "To create it, add --create-tenant.",
    )


def _rejected_path(request: ImportRequest) -> Path:
    return request.rejected_path or request.path.with_suffix(".rejected.csv")


def _worded(problem: StagedProblem) -> Problem:
    account, detail = problem.account_id, problem.detail
    column, reason = {
        "repeated": ("account_id", f"{account} is on line {detail} already"),
        "zone": ("time_zone", f"PostgreSQL does not know the zone {detail!r}"),
        "no_amount": ("amount", f"none is given, and plan {detail!r} has none in this currency"),
        "changed": (
            "account_id",
            f"{account} exists already with another {detail}; --update takes over the file's",
        ),
        "anchor_fixed": (
            "anchor_day",
            f"{account} was billed already, so its anchor day stays as it is",
        ),
    }[problem.kind]
    return Problem(problem.line, column, reason)
