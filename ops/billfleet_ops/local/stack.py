"""The embedded stack: PostgreSQL and AWS on this machine, migrated and deployed.

`billfleet up` and `billfleet demo` run it. What the real environment already names is not
embedded, and is neither migrated nor deployed to: that is the operator's decision. It starts
no worker; it gives the environment in which workers find everything.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from billfleet_db import migrate
from billfleet_ops.clients import Clients
from billfleet_ops.local.aws import LOCAL_CREDENTIALS, REGION, EmbeddedAws
from billfleet_ops.local.deploy import Deployment, deploy
from billfleet_ops.local.feedback_keys import certificate_path
from billfleet_ops.local.guard import Watched
from billfleet_ops.local.home import Home
from billfleet_ops.local.postgres import EmbeddedPostgres
from billfleet_ops.local.senders import senders_of, verify
from billfleet_ops.local.substitution import embeds_aws, embeds_database

Say = Callable[[str], None]


class EmbeddedStack:
    """The servers that `environ` leaves to us, in one home.

    `with stack.running(): …` holds the home's lock, starts what is embedded, tells other
    commands of this user where it is, and stops it all at the end.
    """

    def __init__(
        self,
        home: Path,
        *,
        environ: Mapping[str, str],
        stack: str = "billfleet-local",
        postgres_port: int | None = None,
        aws_port: int | None = None,
        durable: bool = True,
        say: Say = lambda _: None,
    ) -> None:
        self.home = Home(home)
        self.stack = stack
        self.deployment: Deployment | None = None
        self._environ = environ
        self._say = say
        self.postgres: EmbeddedPostgres | None = None
        self.aws: EmbeddedAws | None = None
        if embeds_database(environ):
            self.postgres = EmbeddedPostgres(self.home.root, postgres_port, durable=durable)
        if embeds_aws(environ):
            region = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or REGION
            self.aws = EmbeddedAws(self.home.root, aws_port, region=region)

    @contextmanager
    def running(self, *, fresh: bool = False) -> Iterator["EmbeddedStack"]:
        """Run the servers for the duration of the block; `fresh` deletes their data first."""
        with ExitStack() as ending:
            ending.enter_context(self.home.lock())
            if fresh:
                self.forget()
            for server in (self.postgres, self.aws):
                if server is not None:
                    ending.callback(server.stop)
            self._start()
            self.home.publish(self.environment())
            ending.callback(self.home.withdraw)
            yield self

    def forget(self) -> None:
        """Delete the data of the embedded servers; real ones are never touched."""
        for server in (self.postgres, self.aws):
            if server is not None:
                server.forget()

    def environment(self) -> dict[str, str]:
        """The variables that lead to this stack: only those that the real environment lacks."""
        offered: dict[str, str] = {"BILLFLEET_STACK": self.stack}
        if self.postgres is not None:
            offered["DATABASE_URL"] = self.postgres.app_url
            offered["MIGRATION_DATABASE_URL"] = self.postgres.url
            offered["GATEWAY_DATABASE_URL"] = self.postgres.gateway_url
        if self.aws is not None:
            offered |= self.aws.environment()
            # Mails stay on this machine, so their copies may show what opens something; and what
            # is played in as Amazon's notice is signed here.
            offered["BILLFLEET_MAIL_KEEP_SECRETS"] = "true"
            offered["BILLFLEET_SNS_CERTIFICATE"] = str(certificate_path(self.home))
        if self.watched():
            # Links in mails must still open after a restart, so the secret stays in the home.
            offered["BILLFLEET_LINK_SECRET"] = self.home.secret("link-secret")
            # What is tried out on one machine is heard on the same machine.
            offered["BILLFLEET_WEBHOOKS_TO_LOOPBACK"] = "true"
        return {name: value for name, value in offered.items() if not self._environ.get(name)}

    def watched(self) -> list[Watched]:
        """The embedded servers, for a guard."""
        servers: list[Watched] = []
        if self.postgres is not None:
            servers.append(_WatchedPostgres(self.postgres))
        if self.aws is not None:
            servers.append(_WatchedAws(self.aws, self._deploy))
        return servers

    def clients(self) -> Clients | None:
        """AWS clients for the embedded endpoint, or None when AWS is real."""
        if self.aws is None:
            return None
        key_id, secret = LOCAL_CREDENTIALS.values()
        return Clients(
            region=self.aws.region,
            endpoint_url=self.aws.endpoint_url,
            credentials=(key_id, secret),
        )

    def _start(self) -> None:
        # The two have nothing to do with each other, and each mostly waits.
        with ThreadPoolExecutor(2, thread_name_prefix="embedded") as starting:
            waiting = [starting.submit(self._start_postgres), starting.submit(self._start_aws)]
        for started in waiting:
            started.result()

    def _start_postgres(self) -> None:
        if self.postgres is None:
            return
        self.postgres.start()
        asyncio.run(self._migrate(self.postgres))
        self._say(f"PostgreSQL listens on 127.0.0.1:{self.postgres.port}, schema {migrate.head()}")

    @staticmethod
    async def _migrate(postgres: EmbeddedPostgres) -> None:
        await migrate.upgrade(postgres.url)
        await migrate.set_app_password(postgres.url, postgres.app_password)
        await migrate.set_app_password(
            postgres.url, postgres.gateway_password, role=migrate.GATEWAY_ROLE
        )

    def _start_aws(self) -> None:
        if self.aws is None:
            return
        self.aws.start()
        self._deploy()
        self._say(f"The AWS endpoint listens on {self.aws.endpoint_url}, stack {self.stack}")

    def _deploy(self) -> None:
        """Create the stack. What the emulator leaves out of it is set, and stays unmentioned."""
        clients = self.clients()
        if clients is not None:
            self.deployment = deploy(clients, self.stack)
            verify(clients, senders_of(self._environ))


@dataclass(frozen=True)
class _WatchedPostgres:
    server: EmbeddedPostgres
    name: str = "PostgreSQL"

    def is_alive(self) -> bool:
        return self.server.is_alive()

    def revive(self) -> str:
        self.server.restart()
        return "Nothing that was committed is lost."


@dataclass(frozen=True)
class _WatchedAws:
    server: EmbeddedAws
    deploy: Callable[[], None]
    name: str = "The AWS endpoint"

    def is_alive(self) -> bool:
        return self.server.is_alive()

    def revive(self) -> str:
        self.server.restart()
        self.deploy()
        return (
            "Messages that it took in since its start may be lost: `billfleet sweep rebill` and "
            "`billfleet sweep collect` enqueue again what is due."
        )
