"""Reports: the worker's handler, how a report is made, and the sweep that asks for them."""

from billfleet_workers.handlers.reports.handler import ReportsHandler
from billfleet_workers.handlers.reports.making import Made, ReportMaker, report_id_of
from billfleet_workers.handlers.reports.periods import first_day_of, last_day_of, name_of
from billfleet_workers.handlers.reports.sweep import ReportsReport, sweep_reports

__all__ = [
    "Made",
    "ReportMaker",
    "ReportsHandler",
    "ReportsReport",
    "first_day_of",
    "last_day_of",
    "name_of",
    "report_id_of",
    "sweep_reports",
]
