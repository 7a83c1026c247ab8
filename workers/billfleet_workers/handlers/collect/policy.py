"""When a declined or unanswered payment is looked at again: the tenant's rules and the fleet's.

The handler reads the tenant's rules from `business.tenants.dunning` and hands both to the pure
functions beside it. `{}` means the rules of the house, which are the defaults here.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

Days = Annotated[int, Field(ge=1, le=365)]


class DunningPolicyInvalid(Exception):
    """A tenant's dunning policy can't be read, so nobody of that tenant is charged.

    Correct `business.tenants.dunning` as the message says, then replay the messages.
    """


class DunningRules(BaseModel):
    """Retries of soft declines, for one tenant and currency."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    offsets_days: Annotated[tuple[Days, ...], Field(max_length=30, strict=False)] = (1, 3, 7)
    """Days from the first failure to each retry. After the last one the account is INACTIVE,
    also where a hard decline forbade the retries."""
    declines_per_30_days_max: Annotated[int, Field(ge=1, le=100)] = 15
    """The card networks fine whoever tries more often; their limits differ and change."""
    gap_hours_min: Annotated[int, Field(ge=1, le=720)] = 20
    """Retries that were missed (the fleet stood still) are not made up for all at once."""

    @model_validator(mode="after")
    def _offsets_increase(self) -> Self:
        if list(self.offsets_days) != sorted(set(self.offsets_days)):
            raise ValueError("offsets_days must increase")
        return self

    def next_attempt_at(
        self, first_failed_at: datetime, attempts_made: int, now: datetime
    ) -> datetime | None:
        """The retry after so many attempts; None when the schedule is exhausted."""
        if attempts_made > len(self.offsets_days):
            return None
        scheduled = first_failed_at + timedelta(days=self.offsets_days[attempts_made - 1])
        return max(scheduled, now + timedelta(hours=self.gap_hours_min))

    def ends_at(self, first_failed_at: datetime) -> datetime:
        """The last retry, from which on the account is INACTIVE unless it has paid."""
        return first_failed_at + timedelta(days=self.offsets_days[-1] if self.offsets_days else 0)


class DunningPolicy(DunningRules):
    """A tenant's rules, and other ones for currencies that need them."""

    by_currency: dict[str, DunningRules] = Field(default_factory=dict)
    bills_inactive_time: bool = False
    """Whether periods that went by while an account was INACTIVE are billed when it has paid."""

    def rules_for(self, currency: str) -> DunningRules:
        """The rules of this currency."""
        return self.by_currency.get(currency, self)


def dunning_policy(tenant: str, written: Mapping[str, object]) -> DunningPolicy:
    """Read what the tenant's row says.

    Raises:
        DunningPolicyInvalid: it is not a policy.
    """
    try:
        return DunningPolicy.model_validate(dict(written))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "policy"
        raise DunningPolicyInvalid(
            f"the dunning policy of tenant {tenant} is not valid: {where}: {first['msg']}"
        ) from error


@dataclass(frozen=True, slots=True)
class CollectPolicy:
    """What is the same for every tenant of a fleet."""

    key_trusted_for: timedelta = timedelta(hours=23)
    """Gateways forget keys after 24 hours; from then on they are asked before they are told."""
    check_delays: tuple[timedelta, ...] = (
        timedelta(minutes=5),
        timedelta(hours=1),
        *(5 * (timedelta(days=1),)),
    )
    """When an unknown outcome is asked for; after the last one it waits for a person."""
    asks_first: bool = False
    """Ask before the first call under a key, too: a restored database has forgotten payments."""
    search_lag: timedelta = timedelta(hours=1)
    """How long a payment may exist before the gateway's search finds it."""
    not_sent_delay: timedelta = timedelta(minutes=5)
    """When a charge that never left us is due again, should its message not come back."""
    lease: timedelta = timedelta(minutes=3)
    """Longer than a question and two calls to the gateway can take."""
    retry_after_s: float = 20.0
    """When a message comes back whose charge could not be sent."""
    patience_receives: int = 5
    """From this receive on a busy gateway is left to the sweep, so that no message is buried."""
    calls_at_once: int = 25
    """Bills looked at in one transaction and charged right after it."""
