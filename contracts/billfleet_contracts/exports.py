"""The exports family: a request for a file of rows, and what became of it.

Built by front ends and the command line; read by the export worker, the mail worker and
subscribers. An export's id is also that of its file. Which data sets, columns and filters there
are is the worker's matter: a request that names another is answered with `ExportFailed`. These
models must not know tenants, queues or tables.
"""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from billfleet_contracts.event import Event
from billfleet_contracts.fields import INTEGER_MAX, AccountId, UtcDatetime

ExportFormat = Literal["csv", "ndjson", "parquet", "xlsx", "pdf"]
ExportId = Annotated[
    str, Field(pattern=r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")
]
DatasetName = Annotated[str, Field(pattern=r"^[a-z][a-z_]{0,63}$")]
FilterName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z_]{0,63}$")]
FilterValue = Annotated[str, StringConstraints(min_length=1, max_length=255)]
ColumnName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,63}$")]
Locale = Annotated[str, Field(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,3}$")]
FileName = Annotated[str, Field(min_length=1, max_length=200)]
Amount = Annotated[int, Field(ge=0, le=INTEGER_MAX)]


class _Notifying(Event):
    """Who is told by mail: a person of the tenant, a customer, or nobody."""

    notify_contact_id: AccountId | None = None
    notify_customer_id: AccountId | None = None

    @model_validator(mode="after")
    def _tells_one_at_most(self) -> Self:
        if self.notify_contact_id is not None and self.notify_customer_id is not None:
            raise ValueError("name notify_contact_id or notify_customer_id, not both")
        return self


class ExportRequested(_Notifying):
    """Request: write these rows of a data set, as they are at one instant, into a file.

    Values of filters are written as text (`2026-01-31`, `EUR`, `acc-1`). No columns: all of them.
    """

    TYPE: ClassVar[str] = "billfleet.exports.export_requested.v1"

    export_id: ExportId
    dataset: DatasetName
    format: ExportFormat
    filters: Annotated[dict[FilterName, FilterValue], Field(max_length=32)] = Field(
        default_factory=dict
    )
    columns: Annotated[tuple[ColumnName, ...], Field(max_length=64, strict=False)] = ()
    locale: Locale = "en-US"

    def subject(self) -> str | None:
        """The export."""
        return self.export_id

    def default_dedupe_key(self) -> str:
        """An export is made once, however often it is asked for."""
        return f"export_requested:{self.export_id}"


class ExportReady(_Notifying):
    """Fact: the file is complete and can be opened until it expires."""

    TYPE: ClassVar[str] = "billfleet.exports.export_ready.v1"

    export_id: ExportId
    file_id: ExportId
    file_name: FileName
    dataset: DatasetName
    format: ExportFormat
    rows: Amount
    bytes_count: Amount
    expires_at: UtcDatetime

    def subject(self) -> str | None:
        """The export."""
        return self.export_id

    def default_dedupe_key(self) -> str:
        """An export becomes ready once."""
        return f"export_ready:{self.export_id}"


class ExportFailed(_Notifying):
    """Fact: there will be no file, and why. `cancelled` was somebody's wish and is no failure."""

    TYPE: ClassVar[str] = "billfleet.exports.export_failed.v1"

    export_id: ExportId
    dataset: DatasetName
    format: ExportFormat
    reason: Annotated[str, Field(min_length=1, max_length=500)]
    cancelled: bool = False

    def subject(self) -> str | None:
        """The export."""
        return self.export_id

    def default_dedupe_key(self) -> str:
        """An export fails once."""
        return f"export_failed:{self.export_id}"
