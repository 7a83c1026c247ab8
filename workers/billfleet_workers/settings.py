"""Every setting of the fleet, read once from the environment.

`main` and the commands build it and pass on what each part needs; no other module reads the
environment. Variables that AWS and PostgreSQL tools share keep their usual names; our own begin
with `BILLFLEET_`.
"""

from pathlib import Path
from typing import Literal

from pydantic import AliasChoices, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """The fleet's settings. An unset variable takes the default; a wrong one is refused."""

    model_config = SettingsConfigDict(
        env_prefix="BILLFLEET_",
        frozen=True,
        extra="ignore",
        hide_input_in_errors=True,
        env_ignore_empty=True,
    )

    database_url: SecretStr = Field(
        default=SecretStr("postgresql://billfleet_app@localhost:5432/billfleet"),
        validation_alias=AliasChoices("DATABASE_URL", "BILLFLEET_DATABASE_URL"),
        description="PostgreSQL as the application role.",
    )
    migration_database_url: SecretStr | None = Field(
        default=None,
        validation_alias=AliasChoices("MIGRATION_DATABASE_URL", "BILLFLEET_MIGRATION_DATABASE_URL"),
        description="PostgreSQL as the owner, for migrations. Default: DATABASE_URL.",
    )
    aws_endpoint_url: str | None = Field(
        default=None, validation_alias="AWS_ENDPOINT_URL", description="Instead of AWS itself."
    )
    aws_region: str = Field(
        default="us-east-1",
        validation_alias=AliasChoices("AWS_REGION", "AWS_DEFAULT_REGION"),
    )
    aws_client: Literal["lean", "sdk"] = Field(
        default="lean",
        description="How SQS and DynamoDB are spoken to. `sdk` costs ten times the CPU a call.",
    )
    stack: str = Field(default="billfleet-local", pattern=r"^[a-z][a-z0-9-]{0,40}$")
    home: Path = Field(default=Path(".billfleet"), description="State of the embedded stack.")

    database_pool_size: int = Field(default=8, ge=1, le=200)
    receivers: int = Field(
        default=4, ge=1, le=32, description="Receive loops per queue, ten messages each."
    )
    in_flight_max: int = Field(default=100, ge=1, le=5000, description="Messages of a queue.")
    in_flight_min: int = Field(default=10, ge=1, description="However slow handlers become.")
    tenant_in_flight_max: int | None = Field(default=None, ge=1, description="Of one tenant.")
    poll_wait_s: float = Field(default=20.0, ge=0, le=20, description="One long poll.")
    lease_s: int | None = Field(
        default=None, ge=3, le=3600, description="Default: each queue's visibility timeout."
    )
    drain_deadline_s: float = Field(default=25.0, gt=0, le=110)
    dedupe_retain_s: int = Field(default=14 * 86400, ge=3600, description="Done records live.")
    seal_every_s: float = Field(default=60.0, ge=1, description="The ledger's hash chain grows.")

    health_port: int | None = Field(default=None, ge=1, le=65535, description="/livez, /readyz.")
    health_host: str = Field(default="127.0.0.1", description="0.0.0.0 in a container.")
    statsd_host: str | None = Field(default=None, description="Unset: figures go nowhere.")
    statsd_port: int = Field(default=8125, ge=1, le=65535)
    statsd_tags: Literal["none", "dogstatsd"] = "none"
    log_format: Literal["auto", "json", "console"] = "auto"
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    gateway: Literal["log", "stripe"] = "log"
    gateway_calls_per_s: int | None = Field(
        default=None, ge=1, description="Of the whole fleet. Default: 20 for stripe, else no limit."
    )
    stripe_api_key: SecretStr | None = None
    stripe_api_base: str | None = Field(default=None, description="Instead of Stripe itself.")

    catch_up_periods_max: int = Field(default=12, ge=1, le=100, description="Per account and run.")
    charges_per_day_max: int = Field(default=15, ge=1, description="More parks the account.")
    loyalty_view_retain_days: int = Field(
        default=730, ge=1, le=36500, description="Loyalty transactions stay in DynamoDB."
    )
    horizon_days: int = Field(default=35, ge=1, description="No period further ahead is billed.")

    def migration_url(self) -> SecretStr:
        """The URL that migrations use."""
        return self.migration_database_url or self.database_url
