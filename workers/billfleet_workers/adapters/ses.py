"""The mailer port on Amazon SES, version 2 of its interface.

The mail worker uses it through `runtime.ports.mailer`. The mail travels as finished bytes, so that
its headers are ours. The client repeats nothing: a call that got no answer may have sent a mail,
and only the worker knows whether it may be made again. It must not read the mail.
"""

import asyncio
from typing import TYPE_CHECKING, Any, Self

import aiohttp
from botocore import exceptions as foreign
from botocore.parsers import ResponseParserError

from billfleet_workers.adapters.aws_client import AwsClients
from billfleet_workers.adapters.aws_errors import (
    CALL_TIMEOUT_S,
    MISCONFIGURATIONS,
    THROTTLES,
    Refused,
    translate,
)
from billfleet_workers.runtime.errors import Misconfigured, Unavailable
from billfleet_workers.runtime.ports.mailer import (
    FinishedMail,
    MailAnswer,
    Rejected,
    Taken,
    Throttled,
    Unheard,
)

if TYPE_CHECKING:
    from types_aiobotocore_sesv2 import SESV2Client

DEPENDENCY = "Amazon SES"
THROTTLED_WAIT_S = 1.0
QUOTA_WAIT_S = 300.0
"""A day's quota comes back by the minute, as yesterday's mails leave the last 24 hours."""

_REFUSES_US = {
    "AccountSuspendedException": "the account may not send any more; read AWS's notice about it",
    "SendingPausedException": "sending is paused; look at bounces and complaints, then resume it",
    "MailFromDomainNotVerifiedException": "verify the MAIL FROM domain in SES",
}
_SURELY_NOT_SENT = (
    foreign.EndpointConnectionError,
    foreign.ConnectTimeoutError,
    foreign.NoCredentialsError,
    foreign.PartialCredentialsError,
    foreign.ProxyConnectionError,
    foreign.SSLError,
    aiohttp.ClientConnectorError,
    aiohttp.ConnectionTimeoutError,
)


class SesMailer:
    """Sends through SES. It owns its connections."""

    name = "ses"

    def __init__(self, client: "SESV2Client", configuration_set: str | None) -> None:
        self._client = client
        self._configuration_set = configuration_set

    @classmethod
    async def open(cls, clients: AwsClients, *, configuration_set: str | None = None) -> Self:
        """Make the client. Nothing is asked of SES before the first mail."""
        return cls(await clients.open_sesv2(), configuration_set)

    async def send(self, mail: FinishedMail) -> MailAnswer:
        """Hand the mail over, once."""
        request: dict[str, Any] = {
            "FromEmailAddress": mail.sender,
            "Destination": {"ToAddresses": [mail.recipient]},
            "Content": {"Raw": {"Data": mail.body}},
            "EmailTags": [{"Name": name, "Value": value} for name, value in mail.tags.items()],
        }
        if self._configuration_set:
            request["ConfigurationSetName"] = self._configuration_set
        try:
            async with asyncio.timeout(CALL_TIMEOUT_S):
                answer = await self._client.send_email(**request)
        except _SURELY_NOT_SENT as error:
            raise Unavailable(DEPENDENCY, str(error)) from error
        except foreign.ClientError as error:
            return _refusal(error)
        except (
            foreign.BotoCoreError,
            aiohttp.ClientError,
            ResponseParserError,
            OSError,  # TimeoutError is one
        ) as error:
            return Unheard(f"no answer from {DEPENDENCY}: {str(error) or type(error).__name__}")
        return Taken(answer["MessageId"])

    async def close(self) -> None:
        """Close the connections."""
        await self._client.close()


def _refusal(error: foreign.ClientError) -> MailAnswer:
    """What SES's answer means for this mail, or for all."""
    said = error.response.get("Error", {})
    code, reason = str(said.get("Code", "Unknown")), str(said.get("Message", ""))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code in THROTTLES or status == 429:
        wait_s = QUOTA_WAIT_S if "quota" in reason.lower() else THROTTLED_WAIT_S
        return Throttled(f"{code}: {reason}", wait_s)
    if status >= 500:
        return Unheard(f"{DEPENDENCY} answered {code}: {reason}")
    if code in _REFUSES_US:
        raise Misconfigured(DEPENDENCY, f"{code}: {reason}; {_REFUSES_US[code]}") from error
    if "not verified" in reason:
        raise Misconfigured(DEPENDENCY, f"{reason}; verify BILLFLEET_MAIL_FROM in SES") from error
    if code in MISCONFIGURATIONS:
        raise Misconfigured(DEPENDENCY, f"{code}: {reason}; {MISCONFIGURATIONS[code]}") from error
    meaning = translate(DEPENDENCY, error)
    if isinstance(meaning, Refused):
        return Rejected(code, reason)
    raise meaning from error
