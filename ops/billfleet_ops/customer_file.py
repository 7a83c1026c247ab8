"""Customers in a CSV file: who they are, what they decided, what they prefer.

`billfleet customers import` reads through it. A column is `customer_id`, `name`, `email`,
`locale`, `consent:PURPOSE` (yes, no, or empty) or `preference:NAME`; others are refused, because a
column that is passed over in silence is lost. It writes nothing.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from billfleet_contracts.fields import ACCOUNT_PATTERN
from billfleet_db.consents import PURPOSES, Decision, Preference
from billfleet_db.customers import Customer
from billfleet_ops.csv_file import Broken, CsvFile
from billfleet_ops.errors import UsageWrong

PLAIN = ("customer_id", "name", "email", "locale")
WORDS = {"yes": True, "no": False}
MISTAKES_SHOWN_MAX = 10


@dataclass(slots=True)
class CustomerFile:
    """All rows of a file."""

    has_names: bool
    customers: list[Customer] = field(default_factory=list)
    decisions: list[Decision] = field(default_factory=list)
    preferences: list[Preference] = field(default_factory=list)


def read_customers(path: Path, tenant: str, now: datetime) -> CustomerFile:
    """What the file says of a tenant's customers, decided now.

    Raises:
        UsageWrong: a column or a row can't be read; all of them are named, and nothing is taken.
        FileUnusable: the file is no CSV.
    """
    file = CsvFile(path)
    try:
        _check_header(path, file.header)
        found = CustomerFile("name" in file.header)
        mistakes = list(_read(file, tenant, now, found))
    finally:
        file.close()
    if mistakes:
        more = len(mistakes) - MISTAKES_SHOWN_MAX
        raise UsageWrong(
            "; ".join(mistakes[:MISTAKES_SHOWN_MAX]) + (f"; and {more} more" if more > 0 else ""),
            where=str(path),
            remedy="Correct these rows; nothing was imported.",
        )
    return found


def _check_header(path: Path, header: tuple[str, ...]) -> None:
    consents = {f"consent:{purpose}" for purpose in PURPOSES}
    unknown = [
        name
        for name in header
        if name not in PLAIN and name not in consents and not re.match(r"preference:\w", name)
    ]
    if unknown or "customer_id" not in header:
        said = f"columns that are not known: {', '.join(unknown)}" if unknown else "no customer_id"
        raise UsageWrong(
            f"This is no list of customers: {said}",
            where=str(path),
            remedy=f"Columns are {', '.join(PLAIN)}, {', '.join(sorted(consents))} and "
            "preference:NAME.",
        )


def _read(file: CsvFile, tenant: str, now: datetime, found: CustomerFile) -> Iterator[str]:
    for record in file.records():
        if isinstance(record, Broken):
            yield f"line {record.line}: {record.reason}"
            continue
        row = {name: value.strip() for name, value in zip(file.header, record.values, strict=True)}
        mistake = _mistake(row)
        if mistake:
            yield f"line {record.line}: {mistake}"
            continue
        _take(row, tenant, now, found)


def _mistake(row: dict[str, str]) -> str | None:
    if not re.fullmatch(ACCOUNT_PATTERN, row["customer_id"]):
        return f"{row['customer_id']!r} is no customer id"
    if row.get("email") and not re.fullmatch(r"[^@\s]+@[^@\s]+", row["email"]):
        return f"{row['email']!r} is no email address"
    for name, value in row.items():
        if name.startswith("consent:") and value and value.lower() not in WORDS:
            return f"{name} is {value!r}, neither yes nor no"
    return None


def _take(row: dict[str, str], tenant: str, now: datetime, found: CustomerFile) -> None:
    customer_id = row["customer_id"]
    found.customers.append(
        Customer(
            tenant,
            customer_id,
            row.get("name") or customer_id,
            row.get("email") or None,
            row.get("locale") or "en-US",
        )
    )
    for name, value in row.items():
        kind, _, what = name.partition(":")
        if kind == "consent" and value:
            purpose = next(one for one in PURPOSES if one == what)
            found.decisions.append(Decision(customer_id, purpose, WORDS[value.lower()], now))
        elif kind == "preference" and value:
            found.preferences.append(Preference(customer_id, what, value))
