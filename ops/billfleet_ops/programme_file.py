"""A loyalty programme in a file: brand, stores, one version of rules, rewards.

Read by `billfleet loyalty programme`. YAML or JSON; checked as strictly as a message would be,
with the place of each mistake. It writes nothing.
"""

from __future__ import annotations

import json
from datetime import date
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from billfleet_contracts import AccountId, ProgrammeRules
from billfleet_contracts.fields import AttemptNo, UtcDatetime
from billfleet_ops.errors import UsageWrong, from_os_error

MISTAKES_SHOWN_MAX = 10

WarnDays = Annotated[int, Field(ge=1, le=3660)]
"""So many days before points end their card is warned."""


class RewardTerms(BaseModel):
    """A reward: its price in points, how many there are, and who may have it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    reward: AccountId
    name: str
    points: Annotated[int | None, Field(ge=1)] = None
    stock: Annotated[int | None, Field(ge=0)] = None
    tiers: tuple[str, ...] = ()
    starts_at: UtcDatetime | None = None
    ends_at: UtcDatetime | None = None
    per_card_max: Annotated[int | None, Field(ge=1)] = None


class ProgrammeFile(BaseModel):
    """What a file says of a programme."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    programme: AccountId
    name: str
    brand: AccountId
    stores: tuple[AccountId, ...] = ()
    version: AttemptNo = 1
    valid_from: UtcDatetime
    rules: ProgrammeRules
    rewards: tuple[RewardTerms, ...] = ()
    warn_days: tuple[WarnDays, ...] = (30,)


def read_programme(path: Path) -> ProgrammeFile:
    """The programme of a file.

    Raises:
        UsageWrong: the file can't be read as a programme; each mistake is named.
        OpsError: the file can't be opened.
    """
    try:
        loaded = yaml.safe_load(path.read_text("utf-8"))
    except OSError as error:
        raise from_os_error(error, str(path)) or _wrong(path, str(error)) from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise _wrong(path, f"it is neither YAML nor JSON: {error}") from error
    try:
        # Through JSON, because that is how strictly a message would be read.
        return ProgrammeFile.model_validate_json(json.dumps(loaded, default=_time_as_text))
    except ValidationError as error:
        mistakes = [
            f"{'.'.join(str(part) for part in one['loc'])}: {one['msg']}" for one in error.errors()
        ]
        raise _wrong(path, "; ".join(mistakes[:MISTAKES_SHOWN_MAX])) from error


def _time_as_text(value: object) -> str:
    """YAML has read what looks like a time as one."""
    return value.isoformat() if isinstance(value, date) else str(value)


def _wrong(path: Path, what: str) -> UsageWrong:
    return UsageWrong(
        f"This is no programme: {what}",
        where=str(path),
        remedy="`billfleet loyalty programme set --help` shows a whole one.",
    )
