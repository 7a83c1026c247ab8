"""Which events are counted: the house's policy, and what a tenant says instead. Pure.

The handler asks it of every event, the commands read policies with it. A clock that runs ahead, an
age that no till has, a name nobody announced, properties that are a document: each is kept aside
with its reason, and counted nowhere.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from billfleet_workers.handlers.analytics.tracked import Tracked

Reason = Literal["from_the_future", "too_old", "unknown_name", "oversized_properties"]
FACT_SOURCE = "/"
"""How the sources of the fleet's own facts begin; a tenant's list of names is not about them."""


class AdmissionPolicy(BaseModel):
    """When an event is counted. A late one is, at its own hour, as long as it is not too old."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    future_max_s: Annotated[int, Field(ge=0)] = 3600
    """A till's clock may run ahead by so much."""
    age_max_days: Annotated[int, Field(ge=1)] | None = 731
    """Older events are kept aside; None: however old."""
    names: frozenset[str] | None = None
    """What front ends may send; None: any name."""
    properties_bytes_max: Annotated[int, Field(ge=2)] = 16_384
    purchase: str = "purchase"
    """The name under which purchases are sent: what customer insights are made of."""
    group_min: Annotated[int, Field(ge=1)] = 5
    """Groups of fewer customers are not shown."""


HOUSE = AdmissionPolicy()


def policy_of(said: Mapping[str, object]) -> AdmissionPolicy:
    """The tenant's policy; what it leaves open is the house's.

    Raises:
        ValueError: it says something that is no policy; the message names it.
    """
    if not said:
        return HOUSE
    try:
        return AdmissionPolicy.model_validate(dict(said))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"{where}: {first['msg']}") from None


def why_not(event: Tracked, policy: AdmissionPolicy, now: datetime) -> Reason | None:
    """Why the event is not counted; None where it is."""
    if event.occurred_at > now + timedelta(seconds=policy.future_max_s):
        return "from_the_future"
    age_max_days = policy.age_max_days
    if age_max_days is not None and event.occurred_at < now - timedelta(days=age_max_days):
        return "too_old"
    is_fact = event.source.startswith(FACT_SOURCE)
    if policy.names is not None and not is_fact and event.name not in policy.names:
        return "unknown_name"
    if len(event.properties.encode()) > policy.properties_bytes_max:
        return "oversized_properties"
    return None
