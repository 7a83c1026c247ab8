"""Every setting of the fleet, read once from the environment.

`main` and the commands build it and pass on what each part needs; no other module reads the
environment. Variables that AWS and PostgreSQL tools share keep their usual names; our own begin
with `BILLFLEET_`.
"""

from pathlib import Path
from typing import Literal

from pydantic import AliasChoices, Field, SecretStr
from pydantic_settings import BaseSettings, SettingsConfigDict

SES_MAILS_PER_S = 14
"""What SES allows an account that has left its sandbox, until more is agreed."""
ADDRESS = r"^[^@\s<>]+@[^@\s<>]+$"


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
    gateway_database_url: SecretStr | None = Field(
        default=None,
        validation_alias=AliasChoices("GATEWAY_DATABASE_URL", "BILLFLEET_GATEWAY_DATABASE_URL"),
        description="PostgreSQL as billfleet_gateway, for the HTTP front door.",
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
        description="How SQS and DynamoDB are spoken to. `sdk` costs twice the CPU a message.",
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
    keep_deliveries: bool = Field(
        default=True, description="How each ended, three days; off: setbacks only."
    )
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
    ask_gateway_first: bool = Field(
        default=False,
        description="Before each charge, ask for a payment that a restored database has forgotten.",
    )
    stripe_api_key: SecretStr | None = None
    stripe_webhook_secret: SecretStr | None = Field(
        default=None, description="Of the endpoint `/hooks/stripe`, which Stripe calls."
    )
    stripe_api_base: str | None = Field(default=None, description="Instead of Stripe itself.")

    claim_check_buckets: str | None = Field(
        default=None,
        description="Besides the files bucket: where large bodies may be left; with commas.",
    )
    files_bucket: str | None = Field(default=None, description="Default: <stack>-files.")
    public_url: str = Field(
        default="http://127.0.0.1:8080",
        pattern=r"^https?://[^\s/]+(/[^\s?#]*)?$",
        description="Where people reach the gateway; links in mails begin with it.",
    )
    link_secret: SecretStr | None = Field(
        default=None,
        description="Signs links; several with commas: the first signs, all are accepted.",
    )
    exports_per_tenant_max: int = Field(
        default=2, ge=1, le=50, description="Running at the same time, in the whole fleet."
    )

    http_host: str = Field(default="127.0.0.1", description="The HTTP front door listens here.")
    http_port: int = Field(default=8080, ge=1, le=65535)
    http_trusted_proxies: str = Field(
        default="127.0.0.1", description="Whose X-Forwarded-For counts; with * callers choose it."
    )
    http_body_bytes_max: int = Field(default=1024 * 1024, ge=1024, le=16 * 1024 * 1024)
    http_requests_per_s: float = Field(default=100.0, gt=0, description="Of one tenant.")
    http_burst: int = Field(default=200, ge=1, description="Of one tenant, at once.")
    http_streams_max: int = Field(default=200, ge=1, description="Streams of events at once.")
    http_jwks_url: str | None = Field(
        default=None, description="A key set: its tokens open the door as keys do."
    )
    http_jwt_issuer: str | None = Field(default=None, description="Who must have issued them.")
    http_jwt_audience: str | None = Field(default=None, description="Whom they must be for.")
    http_jwt_tenant_claim: str = Field(default="custom:tenant", description="Names the tenant.")
    webhooks_to_loopback: bool = Field(
        default=False, description="Deliver to this machine too; never in production."
    )
    uploads_bucket: str | None = Field(default=None, description="Default: <stack>-uploads.")
    avatar_bytes_max: int = Field(default=10 * 1024 * 1024, ge=1024, description="Of an upload.")
    avatar_pixels_max: int = Field(default=40_000_000, ge=1, description="Of an upload.")
    mail_from: str = Field(
        default="billing@billfleet.example", pattern=ADDRESS, description="Bills and their like."
    )
    mail_marketing_from: str = Field(
        default="news@billfleet.example", pattern=ADDRESS, description="Of marketing alone."
    )
    mails_per_s: int | None = Field(
        default=None, ge=1, description="Of the whole fleet. Default: 14 on AWS, else no limit."
    )
    mail_configuration_set: str | None = Field(
        default=None, description="Of SES: where it publishes bounces and complaints."
    )
    mail_feedback_topics: str | None = Field(
        default=None, description="ARNs with commas. Default: the stack's own topic mail-feedback."
    )
    mail_keep_secrets: bool = Field(
        default=False, description="Kept copies show codes and reset links."
    )
    nothing_due: Literal["mail", "silence"] = Field(
        default="mail", description="To an account that asks and owes nothing."
    )
    sns_certificate: Path | None = Field(
        default=None, description="A local stack's own; instead of fetching those of SNS."
    )

    catch_up_periods_max: int = Field(default=12, ge=1, le=100, description="Per account and run.")
    charges_per_day_max: int = Field(default=15, ge=1, description="More parks the account.")
    audit_retain_days: int = Field(
        default=90, ge=1, le=3650, description="What was refused stays in the audit table."
    )
    loyalty_view_retain_days: int = Field(
        default=730, ge=1, le=36500, description="Loyalty transactions stay in DynamoDB."
    )
    horizon_days: int = Field(default=35, ge=1, description="No period further ahead is billed.")

    def migration_url(self) -> SecretStr:
        """The URL that migrations use."""
        return self.migration_database_url or self.database_url

    def bucket(self) -> str:
        """The bucket of the files that people are given."""
        return self.files_bucket or f"{self.stack}-files"

    def uploads(self) -> str:
        """The bucket that people upload to."""
        return self.uploads_bucket or f"{self.stack}-uploads"

    @property
    def claim_check_bucket_names(self) -> tuple[str, ...]:
        """The buckets, besides the files bucket, whose bodies workers fetch."""
        return tuple(
            name.strip() for name in (self.claim_check_buckets or "").split(",") if name.strip()
        )

    def link_secrets(self) -> tuple[str, ...]:
        """The secrets of links, the signing one first; none when links are not set up."""
        given = self.link_secret.get_secret_value() if self.link_secret else ""
        return tuple(secret.strip() for secret in given.split(",") if secret.strip())

    def mail_rate(self) -> int | None:
        """Mails a second that the fleet may send; None: nobody limits it."""
        return self.mails_per_s or (None if self.aws_endpoint_url else SES_MAILS_PER_S)

    def feedback_topics(self) -> tuple[str, ...]:
        """The topics whose notices are believed; none: the stack's own."""
        given = self.mail_feedback_topics or ""
        return tuple(arn.strip() for arn in given.split(",") if arn.strip())
