"""The settings that every command starts from.

Commands call `load_settings`. It completes the environment with the addresses of the embedded
stack that runs in this home, so that a second terminal finds the fleet of the first, and says
in an operator's words which variable is wrong. It connects to nothing.
"""

import os
from collections.abc import MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from pydantic import ValidationError

from billfleet_ops.errors import ConfigurationWrong
from billfleet_ops.local.home import Home
from billfleet_ops.local.substitution import adopt, applicable
from billfleet_workers.settings import Settings

if TYPE_CHECKING:
    from billfleet_ops.clients import Clients

DEFAULT_HOME = ".billfleet"


def home_directory(environ: MutableMapping[str, str] = os.environ) -> Path:
    """Where the embedded stack and crash reports live (BILLFLEET_HOME)."""
    return Path(environ.get("BILLFLEET_HOME") or DEFAULT_HOME)


def load_settings(environ: MutableMapping[str, str] = os.environ) -> Settings:
    """The settings, after what the environment leaves open is taken from a running stack."""
    published = Home(home_directory(environ)).published()
    adopt(applicable(published, environ), environ)
    try:
        settings = Settings()
    except ValidationError as error:
        raise settings_wrong(error) from None
    check_endpoint(settings.aws_endpoint_url)
    return settings


def check_endpoint(url: str | None) -> None:
    """Refuse an endpoint that no AWS SDK could call; the SDKs say so with a traceback."""
    parts = urlsplit(url) if url else None
    if parts is not None and (parts.scheme not in {"http", "https"} or not parts.hostname):
        raise ConfigurationWrong(
            f"AWS_ENDPOINT_URL is no address: {url!r}",
            where="environment variables",
            remedy="Set it to http://HOST:PORT or https://HOST, or unset it for AWS itself.",
        )


def settings_wrong(error: ValidationError) -> ConfigurationWrong:
    """Every wrong variable with its reason, and never its value, which may be a secret."""
    problems = [
        f"{variable_of(str(problem['loc'][0]) if problem['loc'] else '?')}: {problem['msg']}"
        for problem in error.errors(include_input=False, include_url=False)
    ]
    return ConfigurationWrong(
        f"The settings cannot be used: {'; '.join(problems)}",
        where="environment variables",
        remedy="Correct or unset these variables; ops/SETTINGS.md lists all of them.",
    )


def variable_of(field: str) -> str:
    """The environment variable of a settings field."""
    if field in Settings.model_fields and Settings.model_fields[field].validation_alias is None:
        return f"BILLFLEET_{field.upper()}"
    return field.upper()


def clients_of(settings: Settings) -> "Clients":
    """AWS clients as the settings say."""
    # Imported here: most commands, and every worker, have no use for the blocking SDK.
    from billfleet_ops.clients import Clients

    return Clients(region=settings.aws_region, endpoint_url=settings.aws_endpoint_url)
