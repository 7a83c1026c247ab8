"""The price file: list prices with their date, read once and typed.

`monthly_costs` and `capacity` compute with it. It holds no volume and makes no decision.
"""

from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict

FILE = Path(__file__).parent / "prices.yaml"


class Prices(BaseModel):
    """US dollars. A name says what one of it is: `sqs_million_requests` is a million requests."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    as_of: str
    region: str
    fargate_vcpu_hour: float
    fargate_gib_hour: float
    fargate_spot_share: float
    sqs_million_requests: float
    sqs_fifo_million_requests: float
    sns_million_publishes: float
    dynamodb_million_writes: float
    dynamodb_million_reads: float
    dynamodb_gib_month: float
    rds_hour: dict[str, float]
    rds_gib_month: float
    rds_backup_gib_month: float
    nat_hour: float
    nat_gib: float
    endpoint_hour: float
    secret_month: float
    key_month: float
    alarm_month: float
    metric_month: float
    dashboard_month: float
    logs_gib: float
    s3_gib_month: float
    s3_thousand_puts: float
    ses_thousand: float
    ecr_gib_month: float


def prices() -> Prices:
    """The prices of this version."""
    return Prices.model_validate(yaml.safe_load(FILE.read_text()))
