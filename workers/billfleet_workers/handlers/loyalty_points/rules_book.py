"""Versions of programmes' rules, read once: they are only ever added and never change.

The counter asks it for the programmes of the cards that it serves. How many versions there are is
asked each time, so that a new one is followed at once.
"""

from collections.abc import Iterable
from datetime import datetime

from pydantic import ValidationError
from sqlalchemy.ext.asyncio import AsyncConnection

from billfleet_contracts import ProgrammeRules
from billfleet_db import loyalty
from billfleet_db.loyalty import RulesVersion
from billfleet_workers.runtime.errors import Permanent

PROGRAMMES_MAX = 1000


class Programme:
    """The versions of one programme, each parsed when it is first followed."""

    def __init__(self, programme_id: str, versions: list[RulesVersion]) -> None:
        self.count = len(versions)
        self._programme_id = programme_id
        self._versions = versions
        self._parsed: dict[int, ProgrammeRules] = {}

    def at(self, instant: datetime) -> tuple[int, ProgrammeRules]:
        """The version that was valid then.

        Raises:
            Permanent: none was, or it can't be read.
        """
        for version in reversed(self._versions):
            if version.valid_from <= instant:
                return version.version, self._read(version)
        raise Permanent(f"programme {self._programme_id} had no rules at {instant.isoformat()}")

    def of(self, number: int | None) -> ProgrammeRules | None:
        """One version by its number; None where there is none of that number."""
        found = [version for version in self._versions if version.version == number]
        return self._read(found[0]) if found else None

    def _read(self, version: RulesVersion) -> ProgrammeRules:
        if version.version not in self._parsed:
            try:
                rules = ProgrammeRules.model_validate_json(version.as_json)
            except ValidationError as error:
                reason = f"version {version.version} of the rules can't be read: {error}"
                raise Permanent(reason) from error
            self._parsed[version.version] = rules
        return self._parsed[version.version]


class RulesBook:
    """The programmes that a process has met."""

    def __init__(self) -> None:
        self._programmes: dict[tuple[str, str], Programme] = {}

    async def read(
        self, connection: AsyncConnection, tenant: str, programme_ids: Iterable[str]
    ) -> dict[str, Programme]:
        """These programmes with all the versions that they have now."""
        wanted = set(programme_ids)
        counts = await loyalty.programmes.counts_of_versions(connection, tenant, wanted)
        found: dict[str, Programme] = {}
        for programme_id in wanted:
            kept = self._programmes.get((tenant, programme_id))
            if kept is None or kept.count != counts.get(programme_id, 0):
                versions = await loyalty.programmes.all_rules(connection, tenant, programme_id)
                kept = Programme(programme_id, versions)
                self._keep(tenant, programme_id, kept)
            found[programme_id] = kept
        return found

    def _keep(self, tenant: str, programme_id: str, programme: Programme) -> None:
        if len(self._programmes) >= PROGRAMMES_MAX:
            self._programmes.clear()
        self._programmes[tenant, programme_id] = programme
