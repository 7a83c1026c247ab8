"""A loyalty programme in a file: brand, stores, one version of rules, rewards.

Read by `billfleet loyalty programme`. YAML or JSON; checked as strictly as a message would be,
with the place of each mistake. It writes nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from billfleet_contracts import AccountId, ProgrammeRules
from billfleet_contracts.fields import AttemptNo, UtcDatetime
from billfleet_ops.yaml_file import read_model

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
    return read_model(
        path,
        ProgrammeFile,
        what="programme",
        remedy="`billfleet loyalty programme set --help` shows a whole one.",
    )
