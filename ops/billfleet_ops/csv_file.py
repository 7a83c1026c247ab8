"""A CSV file as it comes from a customer: its header, and its records with line numbers.

`csv_import` reads accounts through it. It takes any sensible file (byte-order mark, CRLF,
quoted line breaks, semicolons or tabs) in one streaming pass, and says of any other what it is
and what to do. It knows nothing of accounts.
"""

import csv
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import TypeVar

from billfleet_ops.errors import ConfigurationWrong

Read = TypeVar("Read")

SAMPLE_BYTES = 64 * 1024
DELIMITERS = (",", ";", "\t", "|")
_SIGNATURES = (
    (b"PK\x03\x04", "an Excel workbook or a zip archive", "Save the sheet as CSV (UTF-8)."),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook", "Save the sheet as CSV (UTF-8)."),
    (b"%PDF", "a PDF document", "Ask for the data as CSV."),
    (b"\x1f\x8b", "gzip-compressed", "Unpack it with gunzip first."),
    (b"PAR1", "a Parquet file", "Convert it to CSV first."),
    (b"{", "JSON", "Convert it to CSV first."),
    (b"[", "JSON", "Convert it to CSV first."),
    (b"<", "HTML or XML", "Convert it to CSV first."),
)


class FileUnusable(ConfigurationWrong):
    """The file can't be read as CSV at all. Nothing was imported; the message says what it is."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record, and the line of the file on which it begins."""

    line: int
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Broken:
    """A stretch of the file that is not a record, and why."""

    line: int
    reason: str
    values: tuple[str, ...] = ()


class CsvFile:
    """An open file whose header has been read. Iterate `records` once."""

    def __init__(self, path: Path, *, encoding: str | None = None) -> None:
        self.path = path
        self.size_bytes = 0
        self._encoding = encoding or "utf-8-sig"
        self._stream = self._open(given=encoding is not None)
        try:
            first = self._guarded(self._first_line)
            self.delimiter = max(DELIMITERS, key=first.count)
            self._reader = csv.reader(self._stream, delimiter=self.delimiter, strict=True)
            self.header = self._read_header()
        except BaseException:
            self._stream.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._stream.close()

    @property
    def read_bytes(self) -> int:
        """How far into the file reading has come."""
        return self._binary.tell()

    def records(self) -> Iterator[Record | Broken]:
        """Every record after the header; blank lines are passed over."""
        width = len(self.header)
        while True:
            line = self._reader.line_num + 1
            try:
                values = self._guarded(lambda: next(self._reader, None))
            except csv.Error as error:
                yield Broken(line, _quoting(error))
                continue
            if values is None:
                return
            if not any(value.strip() for value in values):
                continue
            if len(values) != width:
                reason = f"it has {len(values)} fields; the header has {width}"
                yield Broken(line, reason, tuple(values))
                continue
            yield Record(line, tuple(values))

    def _open(self, *, given: bool) -> TextIOWrapper:
        try:
            binary = self.path.open("rb")
        except OSError as error:
            raise self._unusable(*_why_not_opened(error)) from error
        with binary:
            sample = binary.read(SAMPLE_BYTES)
            self.size_bytes = binary.seek(0, 2)
        self._refuse_what_is_not_text(sample, given=given)
        self._binary = self.path.open("rb")
        try:
            return TextIOWrapper(self._binary, encoding=self._encoding, newline="")
        except LookupError as error:
            self._binary.close()
            raise self._unusable(
                f"Python knows no encoding named {self._encoding!r}",
                "Use utf-8, cp1252, latin-1 or utf-16.",
            ) from error

    def _refuse_what_is_not_text(self, sample: bytes, *, given: bool) -> None:
        if not sample.strip():
            raise self._unusable("The file is empty", "Export it again; it needs a header line.")
        start = sample.removeprefix(b"\xef\xbb\xbf").lstrip()
        for signature, what, remedy in _SIGNATURES:
            if start.startswith(signature):
                raise self._unusable(f"The file is not CSV but {what}", remedy)
        if not given and sample[:2] in {b"\xff\xfe", b"\xfe\xff"}:
            raise self._unusable("The file is UTF-16", "Add --encoding utf-16.")
        if not given and b"\0" in sample:
            raise self._unusable("The file is not text: it holds NUL bytes", "Export it as CSV.")

    def _first_line(self) -> str:
        first = self._stream.readline()
        while first and not first.strip():
            first = self._stream.readline()
        self._stream.seek(0)
        return first

    def _read_header(self) -> tuple[str, ...]:
        try:
            for values in iter(lambda: self._guarded(lambda: next(self._reader, None)), None):
                if any(value.strip() for value in values):
                    return tuple(value.strip() for value in values)
        except csv.Error as error:
            raise self._unusable(
                f"The header line can't be read: {_quoting(error)}", "Correct its first line."
            ) from error
        raise self._unusable("The file is empty", "Export it again; it needs a header line.")

    def _guarded(self, read: Callable[[], Read]) -> Read:
        try:
            return read()
        except UnicodeError as error:
            raise self._unusable(
                f"Line {self._first_undecodable_line()} is not {self._encoding_name}",
                "Save the file as UTF-8, or name its encoding: --encoding cp1252 for files of "
                "Windows programs, --encoding latin-1 for older ones.",
            ) from error
        except OSError as error:
            raise self._unusable(*_why_not_opened(error)) from error

    @property
    def _encoding_name(self) -> str:
        return "UTF-8" if self._encoding == "utf-8-sig" else self._encoding

    def _first_undecodable_line(self) -> int:
        with self.path.open("r", encoding=self._encoding, errors="replace") as stream:
            return next((n for n, text in enumerate(stream, start=1) if "\ufffd" in text), 1)

    def _unusable(self, what: str, remedy: str) -> FileUnusable:
        return FileUnusable(what, where=str(self.path), remedy=remedy)


def _why_not_opened(error: OSError) -> tuple[str, str]:
    if isinstance(error, FileNotFoundError):
        return "There is no such file", "Check the path."
    if isinstance(error, IsADirectoryError):
        return "This is a directory", "Name one CSV file in it."
    if isinstance(error, PermissionError):
        return "This user may not read the file", "Give it read access."
    return f"The file can't be read: {error.strerror or error}", "Check the disk and the path."


def _quoting(error: csv.Error) -> str:
    if "end of data" in str(error):
        return "a quoted field begins here and is never closed"
    if "field larger" in str(error):
        return "a field is longer than 131,072 characters: is a quote not closed?"
    if "expected after" in str(error):
        return "something follows a closing quote; write a quote inside a field as two quotes"
    return f"it is not CSV ({error})"
