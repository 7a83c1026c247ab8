"""The reports worker: a request becomes a report, once.

The runtime calls it with a claimed delivery. It knows neither the queue nor mail: whoever is to
read the report is told by the news that leaves with it.
"""

from billfleet_contracts import ReportRequested
from billfleet_workers.handlers.reports.making import ReportMaker
from billfleet_workers.runtime.errors import Permanent
from billfleet_workers.runtime.handling import Finished, Work


class ReportsHandler:
    """Makes reports on request."""

    def __init__(self, maker: ReportMaker) -> None:
        self._maker = maker

    async def handle(self, work: Work) -> Finished:
        """Make the report that is asked for.

        Raises:
            Permanent: there is no such tenant, or `as_of` lies in the future.
            Unavailable: PostgreSQL or the object store can't be reached.
        """
        asked = work.envelope.data
        if not isinstance(asked, ReportRequested):
            raise Permanent(f"the reports worker does not handle {work.envelope.type}")
        made = await self._maker.make(
            work.envelope.tenant, asked, traceparent=work.envelope.traceparent
        )
        return Finished({"made" if made.is_new else "already_done": 1})
