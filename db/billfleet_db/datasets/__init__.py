"""The data sets that can be exported, one module each. A new one is a module and a line here."""

from collections.abc import Mapping
from typing import Final

from billfleet_db.datasets import (
    accounts,
    analytics_events,
    cards,
    invoices,
    ledger,
    loyalty_transactions,
    mails,
    payments,
    statement,
)
from billfleet_db.datasets.definition import (
    Column,
    ColumnKind,
    Dataset,
    Filter,
    Selection,
    SelectionWrong,
    select,
)

__all__ = [
    "DATASETS",
    "Column",
    "ColumnKind",
    "Dataset",
    "Filter",
    "Selection",
    "SelectionWrong",
    "find",
    "select",
]

DATASETS: Final[Mapping[str, Dataset]] = {
    module.DATASET.name: module.DATASET
    for module in (
        accounts,
        ledger,
        invoices,
        payments,
        loyalty_transactions,
        cards,
        analytics_events,
        mails,
        statement,
    )
}


def find(name: str, form: str) -> Dataset:
    """The data set of this name, if it can be written in this format.

    Raises:
        SelectionWrong: there is no such data set, or not in this format.
    """
    dataset = DATASETS.get(name)
    if dataset is None:
        raise SelectionWrong(f"there is no data set {name!r}; there are {', '.join(DATASETS)}")
    if form not in dataset.formats:
        there = ", ".join(dataset.formats)
        raise SelectionWrong(f"{name} can be written as {there}, not as {form}")
    return dataset
