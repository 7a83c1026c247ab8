"""Why a run of an export ends without a file. The handler decides by class what follows."""


class ExportRefused(Exception):
    """This export can never be written like that. Whoever asked is told the message."""


class ExportCancelled(Exception):
    """Somebody asked for the export to be stopped."""


class RunLost(Exception):
    """Another worker has taken the export over; what this run wrote must not be seen."""
