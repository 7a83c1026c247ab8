"""Where each of our columns comes from in one file: a column of the file, a constant, or nowhere.

`csv_import` asks once per file, with the operator's `--map` and `--set`. Everything that is wrong
with them is said in one error, with the `--map` that would fit. It knows headers, not rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from billfleet_ops.account_columns import COLUMNS, NAMES, REQUIRED
from billfleet_ops.errors import UsageWrong


@dataclass(frozen=True, slots=True)
class Sources:
    """Our columns by where they come from, and the columns of the file that nobody reads."""

    places: Mapping[str, int]
    constants: Mapping[str, str]
    file_columns: Mapping[str, str]
    ignored: tuple[str, ...]

    @property
    def provided(self) -> frozenset[str]:
        """Our columns that the file or the operator speaks of."""
        return frozenset(self.places) | frozenset(self.constants)

    def texts(self, values: Sequence[str]) -> dict[str, str]:
        """One row of the file under our names."""
        texts = dict(self.constants)
        texts.update((name, values[place]) for name, place in self.places.items())
        return texts


def pairs(options: Sequence[str], *, option: str) -> dict[str, str]:
    """Read `ours=theirs` options.

    Raises:
        UsageWrong: one has no `=`, or names one of our columns twice or none of them.
    """
    read: dict[str, str] = {}
    for given in options:
        name, equals, value = given.partition("=")
        name = name.strip()
        if not equals or not value:
            raise _usage(f"{option} {given!r} is not written as column=value")
        if name not in NAMES:
            near = get_close_matches(name, NAMES, n=1)
            hint = f" Did you mean {near[0]}?" if near else f" Ours are {', '.join(NAMES)}."
            raise _usage(f"{option} {given!r}: we have no column {name!r}.{hint}")
        if name in read:
            raise _usage(f"{option} gives {name!r} twice")
        read[name] = value
    return read


def sources_of(
    header: Sequence[str], mapping: Mapping[str, str], constants: Mapping[str, str]
) -> Sources:
    """Find a source for every column of ours.

    Raises:
        UsageWrong: a mapped column is not in the file, or a required one has no source.
    """
    wrong = [f"{name} is given by both --map and --set" for name in mapping if name in constants]
    wanted = {name: name for name in NAMES if name in header and name not in constants}
    wanted.update(mapping)
    for name, theirs in wanted.items():
        wrong += _wrong_with(name, theirs, header)
    missing = [name for name in REQUIRED if name not in wanted and name not in constants]
    if "plan" in wanted or "plan" in constants:
        missing = [name for name in missing if name != "amount"]
    free = [column for column in header if column not in wanted.values()]
    wrong += [f"there is no column for {name}; {_fitting(name, free)}" for name in missing]
    if wrong:
        raise _usage("; ".join(wrong), header)
    return Sources(
        places={name: list(header).index(theirs) for name, theirs in wanted.items()},
        constants=dict(constants),
        file_columns=wanted,
        ignored=tuple(free),
    )


def _wrong_with(name: str, theirs: str, header: Sequence[str]) -> list[str]:
    times = list(header).count(theirs)
    if times > 1:
        return [f"the file has {times} columns named {theirs!r}"]
    if times == 1:
        return []
    near = get_close_matches(theirs, header, n=1)
    hint = f", but {near[0]!r}" if near else ""
    return [f"--map {name}={theirs}: the file has no column {theirs!r}{hint}"]


def _fitting(name: str, free: Sequence[str]) -> str:
    """The option that would give our column a source, guessed from the file's own names."""
    known = next(column for column in COLUMNS if column.name == name)
    plain = {column.lower().replace(" ", "_").replace("-", "_"): column for column in free}
    for alias in known.also_called:
        if alias in plain:
            return f"add --map {name}={plain[alias]}"
    near = get_close_matches(name, plain, n=1)
    if near:
        return f"add --map {name}={plain[near[0]]}"
    return f"add --map {name}=THEIR_COLUMN or --set {name}=VALUE"


def _usage(what: str, header: Sequence[str] = ()) -> UsageWrong:
    seen = f"The file's columns: {', '.join(header)}. " if header else ""
    return UsageWrong(
        what[:1].upper() + what[1:],
        where="the columns of the file",
        remedy=f"{seen}`billfleet accounts import --help` lists ours.",
    )
