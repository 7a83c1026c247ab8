"""How to reach AWS: the arguments of both producers, as one value, and the client settings.

Built by the producers, read by the transports. It must not import an AWS client.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any


@dataclass(frozen=True, slots=True)
class Connection:
    """Which stack, where, and how patiently. None leaves a value to the AWS client's own rules."""

    stack: str
    region: str | None = None
    endpoint_url: str | None = None
    topic_arns: Mapping[str, str] = field(default_factory=dict)
    calls_in_flight_max: int = 8
    connect_timeout_s: float = 5.0
    read_timeout_s: float = 10.0

    def client_arguments(self) -> dict[str, Any]:
        """Arguments of `create_client` besides the service and the config."""
        # botocore alone among the AWS SDKs does not read AWS_REGION.
        region = self.region or os.environ.get("AWS_REGION")
        return {"region_name": region, "endpoint_url": self.endpoint_url}

    def config_arguments(self) -> dict[str, Any]:
        """Arguments of botocore's Config.

        The user agent is given because formatting it anew is a fifth of a call's cost; parameters
        are not validated because they come from the contract; retries are this library's own, so
        that they are counted, jittered and reported in one place.
        """
        return {
            "user_agent": f"billfleet-producers/{_version()}",
            "parameter_validation": False,
            "retries": {"mode": "standard", "total_max_attempts": 1},
            "connect_timeout": self.connect_timeout_s,
            "read_timeout": self.read_timeout_s,
            "max_pool_connections": self.calls_in_flight_max,
            "tcp_keepalive": True,
        }


def _version() -> str:
    try:
        return version("billfleet-producers")
    except PackageNotFoundError:
        return "0"
