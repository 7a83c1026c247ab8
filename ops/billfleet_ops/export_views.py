"""How exports look: progress, manifest, data sets, as tables and as JSON.

Called by the export commands with rows of the database room. It reads nothing.
"""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from billfleet_db.datasets import Dataset
from billfleet_db.exports import Export
from billfleet_ops.output import Output
from billfleet_ops.why_words import moment

UNIT = 1024
NEXT = {
    "requested": "It waits for the export worker, or for its turn.",
    "running": "It is being written.",
    "ready": "It can be opened.",
    "failed": "There is no file. Correct the request and ask again.",
    "cancelled": "It was stopped on request; there is no file.",
    "expired": "Its thirty days are over; ask again.",
    "revoked": "Its file was taken back; links to it are refused.",
}


def size(bytes_count: int) -> str:
    """Bytes for people."""
    amount = float(bytes_count)
    for unit in ("B", "KiB", "MiB"):
        if amount < UNIT:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= UNIT
    return f"{amount:.1f} GiB"


def as_document(export: Export, link: str | None = None) -> dict[str, Any]:
    """An export for a program."""
    document = asdict(export)
    document["export_id"] = str(export.export_id)
    return {**document, "link": link} if link else document


def show_list(output: Output, found: Sequence[Export], *, as_json: bool) -> None:
    """The latest exports, newest first."""
    if as_json:
        output.json([as_document(export) for export in found])
        return
    if not found:
        output.say("There are no exports yet. `billfleet export request` asks for one.")
        return
    columns = ("asked", "tenant", "export", "data set", "format", "state", "rows", "size")
    rows = [
        (
            moment(export.requested_at),
            export.tenant_id,
            str(export.export_id),
            export.dataset,
            export.format,
            export.state,
            export.rows_written,
            size(export.bytes_count),
        )
        for export in found
    ]
    output.table(columns, rows)


def show_one(output: Output, export: Export, link: str | None, *, as_json: bool) -> None:
    """One export: where it stands and what it holds."""
    if as_json:
        output.json(as_document(export, link))
        return
    facts: list[tuple[str, str | int | None]] = [
        ("export", str(export.export_id)),
        ("of", f"{export.dataset} as {export.format}, tenant {export.tenant_id}"),
        ("filters", ", ".join(f"{name}={value}" for name, value in export.filters.items())),
        ("columns", ", ".join(export.columns) or "all"),
        ("asked", moment(export.requested_at)),
        ("state", export.state),
        ("rows", export.rows_written),
        ("size", size(export.bytes_count)),
        ("tries", export.tries),
    ]
    if export.failure:
        facts.append(("because", export.failure))
    if export.manifest:
        facts += [
            ("file", export.file_name),
            ("SHA-256", export.manifest["sha256"]),
            ("as of", f"{export.manifest['snapshot_at']} at {export.manifest['snapshot_lsn']}"),
        ]
    if export.expires_at:
        facts.append(("expires", moment(export.expires_at)))
    if link and export.state == "ready":
        facts.append(("link", link))
    for name, value in facts:
        if value not in ("", None):
            output.say(f"{name:<8} {value}")
    output.say(NEXT[export.state])


def show_datasets(output: Output, known: Sequence[Dataset], *, as_json: bool) -> None:
    """What can be exported."""
    if as_json:
        output.json([_described(dataset) for dataset in known])
        return
    output.table(
        ("data set", "formats", "columns"),
        [(dataset.name, ", ".join(dataset.formats), _names(dataset.columns)) for dataset in known],
    )


def show_dataset(output: Output, dataset: Dataset, *, as_json: bool) -> None:
    """One data set with its columns and filters."""
    if as_json:
        output.json(_described(dataset))
        return
    output.say(f"{dataset.title}: written as {', '.join(dataset.formats)}")
    output.table(("column", "kind"), [(column.name, column.kind) for column in dataset.columns])
    rows = [
        (one.name, ", ".join(one.choices) or one.kind, "yes" if one.required else "")
        for one in dataset.filters
    ]
    output.table(("filter", "value", "needed"), rows)


def _described(dataset: Dataset) -> dict[str, Any]:
    return {
        "dataset": dataset.name,
        "version": dataset.version,
        "formats": list(dataset.formats),
        "columns": [{"name": column.name, "kind": column.kind} for column in dataset.columns],
        "filters": [
            {"name": one.name, "kind": one.kind, "choices": list(one.choices)}
            for one in dataset.filters
        ],
    }


def _names(columns: Sequence[Any]) -> str:
    return ", ".join(column.name for column in columns)
