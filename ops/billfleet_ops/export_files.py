"""Fetches the file of an export and checks it against its manifest.

`billfleet export download` and `verify` call it. A file is written beside its name first and moved
there when it is whole and right, so that nobody opens half of one.
"""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from botocore.exceptions import ClientError

from billfleet_db.exports import Export, manifest_key
from billfleet_ops.clients import Clients, aws_errors_mapped
from billfleet_ops.errors import OpsError, Refused, file_errors_mapped

CHUNK_BYTES = 1024 * 1024


@dataclass(frozen=True)
class Checked:
    """What was found in a file."""

    bytes_count: int
    sha256: str

    def differences(self, export: Export) -> list[str]:
        """What is not as the manifest says; nothing when all is well."""
        manifest = export.manifest or {}
        found = []
        if self.bytes_count != manifest.get("bytes"):
            found.append(f"it has {self.bytes_count} bytes, the manifest says {manifest['bytes']}")
        if self.sha256 != manifest.get("sha256"):
            found.append(f"its SHA-256 is {self.sha256}, the manifest says {manifest['sha256']}")
        return found


def must_be_open(export: Export) -> None:
    """Refuse what has no file, or one that may not be opened any more."""
    if export.state != "ready":
        raise Refused(
            f"The export is {export.state}, so there is no file to open",
            where=str(export.export_id),
            remedy=export.failure or "`billfleet export show` says more; ask for it again.",
        )


def stored(clients: Clients, bucket: str, key: str) -> Iterator[bytes]:
    """The bytes of an object."""
    with aws_errors_mapped(clients):
        try:
            answer = clients.s3.get_object(Bucket=bucket, Key=key)
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") not in {"NoSuchKey", "NoSuchBucket"}:
                raise
            raise OpsError(
                "The file is not in the object store any more",
                where=f"{bucket}/{key}",
                remedy="Ask for the export again, and look at the bucket's lifecycle rules.",
            ) from None
        yield from answer["Body"].iter_chunks(CHUNK_BYTES)


def manifest_differences(clients: Clients, bucket: str, export: Export) -> list[str]:
    """What is not right with the manifest that lies beside the object."""
    pieces = stored(clients, bucket, manifest_key(str(export.object_key)))
    try:
        beside = json.loads(b"".join(pieces))
    except ValueError:
        return ["the manifest beside it can't be read"]
    return [] if beside == export.manifest else ["the manifest beside it is another one"]


def read_file(path: Path) -> Iterator[bytes]:
    """The bytes of a file on this machine."""
    with file_errors_mapped(path), path.open("rb") as file:
        while chunk := file.read(CHUNK_BYTES):
            yield chunk


def check(pieces: Iterator[bytes]) -> Checked:
    """Count and hash."""
    digest, count = hashlib.sha256(), 0
    for piece in pieces:
        digest.update(piece)
        count += len(piece)
    return Checked(count, digest.hexdigest())


def download(pieces: Iterator[bytes], path: Path, export: Export) -> Checked:
    """Write the file, whole and right, or not at all."""
    part = path.with_name(f"{path.name}.part")
    with file_errors_mapped(path):
        try:
            with part.open("wb") as file:
                checked = check(_copied(pieces, file))
            _refuse_different(checked, export)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    return checked


def _copied(pieces: Iterator[bytes], file: IO[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        file.write(piece)
        yield piece


def _refuse_different(checked: Checked, export: Export) -> None:
    found = checked.differences(export)
    if found:
        raise OpsError(
            f"The file is not what was exported: {'; '.join(found)}",
            where=str(export.object_key),
            remedy="Do not use it. Ask for the export again, and find out who changed the object.",
        )
