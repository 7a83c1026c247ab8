"""Makes the boto3 clients of the commands, and turns their failures into operator errors.

`resources`, `local.deploy`, `status` and `doctor` use it. Commands ask a handful of questions
and end, so they use the synchronous SDK; the fleet has its own clients in workers/adapters.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    HTTPClientError,
    NoCredentialsError,
    PartialCredentialsError,
)
from botocore.exceptions import ConnectionError as NetworkError
from botocore.session import Session as BotocoreSession

from billfleet_ops.errors import ConfigurationWrong, DependencyUnreachable, OpsError

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_s3 import S3Client
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sqs import SQSClient
    from mypy_boto3_sts import STSClient

WRONG_CREDENTIALS = {
    "AccessDenied",
    "AccessDeniedException",
    "AuthFailure",
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidClientTokenId",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
}


class Clients:
    """The AWS services that commands talk to, each client made when first used.

    Credentials come from where every AWS tool takes them, unless `credentials` names a pair
    (key id, secret), as for the embedded endpoint.
    """

    def __init__(
        self,
        *,
        region: str,
        endpoint_url: str | None = None,
        credentials: tuple[str, str] | None = None,
    ) -> None:
        self.region = region
        self.endpoint_url = endpoint_url
        self._session = _session(region, credentials)
        self._config = Config(
            connect_timeout=3, read_timeout=25, retries={"mode": "standard", "max_attempts": 3}
        )

    @property
    def place(self) -> str:
        """What to tell an operator about where these clients point."""
        return self.endpoint_url or f"AWS region {self.region}"

    @cached_property
    def sqs(self) -> "SQSClient":
        """Queues."""
        return self._session.client("sqs", endpoint_url=self.endpoint_url, config=self._config)

    @cached_property
    def sns(self) -> "SNSClient":
        """Topics."""
        return self._session.client("sns", endpoint_url=self.endpoint_url, config=self._config)

    @cached_property
    def dynamodb(self) -> "DynamoDBClient":
        """Tables."""
        return self._session.client("dynamodb", endpoint_url=self.endpoint_url, config=self._config)

    @cached_property
    def s3(self) -> "S3Client":
        """Buckets; their names stay in the path where an endpoint is given."""
        style = Config(s3={"addressing_style": "path" if self.endpoint_url else "auto"})
        return self._session.client(
            "s3", endpoint_url=self.endpoint_url, config=self._config.merge(style)
        )

    @cached_property
    def cloudformation(self) -> "CloudFormationClient":
        """Stacks."""
        return self._session.client(
            "cloudformation", endpoint_url=self.endpoint_url, config=self._config
        )

    @cached_property
    def cloudwatch(self) -> Any:
        """Metrics; its types are not installed, and one call does not need them."""
        session: Any = self._session
        return session.client("cloudwatch", endpoint_url=self.endpoint_url, config=self._config)

    @cached_property
    def sesv2(self) -> Any:
        """The mail service; its types are not installed, and one call does not need them."""
        session: Any = self._session
        return session.client("sesv2", endpoint_url=self.endpoint_url, config=self._config)

    @cached_property
    def sts(self) -> "STSClient":
        """Who we are."""
        return self._session.client("sts", endpoint_url=self.endpoint_url, config=self._config)


def _session(region: str, credentials: tuple[str, str] | None) -> boto3.Session:
    if credentials is not None:
        # A profile in somebody's shell is neither needed nor looked up.
        without_profile = BotocoreSession(session_vars={"profile": (None, [], None, None)})
        without_profile.set_credentials(*credentials)
        return boto3.Session(botocore_session=without_profile, region_name=region)
    try:
        return boto3.Session(region_name=region)
    except BotoCoreError as error:
        raise ConfigurationWrong(
            f"The AWS settings cannot be used: {error}",
            where="AWS_PROFILE and ~/.aws",
            remedy="Correct or unset AWS_PROFILE, or set AWS_ACCESS_KEY_ID.",
        ) from error


@contextmanager
def aws_errors_mapped(clients: Clients) -> Iterator[None]:
    """Turn what the SDK raises into errors that say what to do."""
    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise from_aws_error(error, clients.place) from error


def from_aws_error(error: BotoCoreError | ClientError, place: str) -> OpsError:
    """The operator's word for an error of the AWS SDK."""
    if isinstance(error, NoCredentialsError | PartialCredentialsError):
        return ConfigurationWrong(
            "No AWS credentials were found",
            where=place,
            remedy="Set AWS_PROFILE, or run `billfleet up`, which brings an endpoint of its own.",
        )
    if isinstance(error, NetworkError | HTTPClientError):
        return DependencyUnreachable(
            "The AWS endpoint does not answer",
            where=place,
            remedy="Check AWS_ENDPOINT_URL and the network; `billfleet up` starts a local one.",
        )
    if isinstance(error, ClientError):
        return _from_answer(error, place)
    return ConfigurationWrong(
        f"AWS cannot be called: {error}", where=place, remedy="Check the AWS settings."
    )


def _from_answer(error: ClientError, place: str) -> OpsError:
    said = error.response.get("Error", {})
    operation = error.operation_name
    if said.get("Code") in WRONG_CREDENTIALS:
        return ConfigurationWrong(
            f"AWS refuses {operation}: {said.get('Code')}",
            where=place,
            remedy="Check the credentials and that their policy allows this action.",
        )
    return OpsError(
        f"AWS answered {operation} with {said.get('Code')}: {said.get('Message')}",
        where=place,
        remedy="Run `billfleet doctor`; it checks what the fleet needs one by one.",
    )
