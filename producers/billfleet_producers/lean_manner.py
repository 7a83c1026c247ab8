"""How both producers speak the lean way: as whom, how patiently, and what they say of a clock.

Asked by the transports when they open. Retries are the sending core's, so none are made below it.
"""

from __future__ import annotations

import logging

from billfleet_producers.connection import Connection
from billfleet_producers.lean.places import Manner

_log = logging.getLogger("billfleet.producers")


def lean_manner(connection: Connection) -> Manner:
    """The manner of a connection."""
    return Manner(
        user_agent=connection.config_arguments()["user_agent"],
        on_skew=_warn_of_skew,
        connections_max=connection.calls_in_flight_max,
        connect_timeout_s=connection.connect_timeout_s,
        read_timeout_s=connection.read_timeout_s,
    )


def _warn_of_skew(by_s: float) -> None:
    _log.warning("this machine's clock is off by %.0f s; AWS's time is used to sign", by_s)
