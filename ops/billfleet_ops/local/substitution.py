"""Decides what is embedded and what is real, from the environment alone.

`stack` asks what to start, `configuration` asks which of a running stack's addresses apply.
Both must come to the same answer, so it is given here once. It reads no file and starts nothing.
"""

from collections.abc import Mapping, MutableMapping

DATABASE_VARIABLES = ("DATABASE_URL", "BILLFLEET_DATABASE_URL")
CREDENTIAL_VARIABLES = (
    "AWS_ACCESS_KEY_ID",
    "AWS_PROFILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)
MISLEADING_VARIABLES = ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SESSION_TOKEN")
"""What belongs to somebody's account and only stands in the way of the embedded endpoint."""
SERVER_OF_PREFIX = {
    "AWS_": "aws",
    "DATABASE_": "database",
    "GATEWAY_DATABASE_": "database",
    "MIGRATION_DATABASE_": "database",
}


def embeds_database(environ: Mapping[str, str]) -> bool:
    """Whether PostgreSQL is ours to start: nobody has named another."""
    return not any(environ.get(name) for name in DATABASE_VARIABLES)


def embeds_aws(environ: Mapping[str, str]) -> bool:
    """Whether the AWS endpoint is ours to start.

    AWS itself is meant when there are credentials and BILLFLEET_STACK names an installation.
    Credentials alone do not suffice: a profile that happens to be set in somebody's shell must
    not send work to an account.
    """
    if environ.get("AWS_ENDPOINT_URL"):
        return False
    has_credentials = any(environ.get(name) for name in CREDENTIAL_VARIABLES)
    return not (has_credentials and environ.get("BILLFLEET_STACK"))


def applicable(published: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    """Those addresses of a running stack that the environment leaves open."""
    embedded = {"database": embeds_database(environ), "aws": embeds_aws(environ)}
    return {
        name: value
        for name, value in published.items()
        if not environ.get(name) and embedded.get(_server_of(name), True)
    }


def adopt(addresses: Mapping[str, str], environ: MutableMapping[str, str]) -> None:
    """Complete this process's environment with the addresses of an embedded stack."""
    environ.update(addresses)
    if "AWS_ENDPOINT_URL" in addresses:
        for name in MISLEADING_VARIABLES:
            environ.pop(name, None)


def _server_of(name: str) -> str:
    found = (server for prefix, server in SERVER_OF_PREFIX.items() if name.startswith(prefix))
    return next(found, "")
