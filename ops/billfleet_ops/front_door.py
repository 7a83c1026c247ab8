"""Brings the front door and the fleet's ports together, from the settings.

`billfleet gateway` runs it. The gateway knows no worker and workers know no gateway, so what one
needs of the other is handed over here.
"""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from datetime import datetime
from typing import Any

import aiohttp
import orjson

from billfleet_contracts import PaymentReported
from billfleet_db import Database, front_door
from billfleet_db.errors import DatabaseError
from billfleet_gateway import Door, Options, WorkRecord, create_app
from billfleet_gateway.ports import NoticeRefused
from billfleet_gateway.serving import serve
from billfleet_gateway.tokens import TokenCheck, TokenRules
from billfleet_ops.errors import ConfigurationWrong, DependencyUnreachable
from billfleet_workers.main.front_door import FrontDoorParts, open_front_door
from billfleet_workers.runtime.errors import Unavailable
from billfleet_workers.runtime.work_key import work_key_of
from billfleet_workers.settings import Settings

ANSWER_TIMEOUT_S = 5.0
KEY_SET_BYTES_MAX = 256 * 1024


class Records:
    """The dedupe store, as the front door asks it."""

    def __init__(self, parts: FrontDoorParts) -> None:
        self._dedupe = parts.dedupe

    async def look(self, tenant: str, queue: str, dedupe_key: str) -> WorkRecord | None:
        """The record of this work; ConnectionError where the store does not answer."""
        try:
            [found] = await self._dedupe.read([work_key_of(tenant, queue, dedupe_key)])
        except Unavailable as error:
            raise ConnectionError(error.reason) from error
        if found is None:
            return None
        is_done = found.state == "done"
        return WorkRecord("done" if is_done else "working", found.completed_at, found.note)


class Files:
    """Both buckets, as the front door hands out addresses of them."""

    def __init__(self, parts: FrontDoorParts) -> None:
        self._parts = parts

    async def address_to_read(
        self, key: str, *, expires_s: int, file_name: str | None, content_type: str
    ) -> str:
        """An address that downloads the object."""
        return await self._parts.objects.presign(
            key, expires_s=expires_s, file_name=file_name, content_type=content_type
        )

    async def address_to_upload(
        self, key: str, *, expires_s: int, content_type: str, metadata: Mapping[str, str]
    ) -> str:
        """An address that takes one PUT."""
        return await self._parts.uploads.presign(
            key, expires_s=expires_s, content_type=content_type, metadata=metadata
        )


async def run_front_door(
    settings: Settings, *, host: str, port: int, ready: Callable[[], None]
) -> None:
    """Serve until told to stop.

    Raises:
        ConfigurationWrong: no login for the front door, or one that row security does not bind;
            or the port is taken.
        DependencyUnreachable: the database does not answer at start.
    """
    async with AsyncExitStack() as closing:
        database = _database(settings)
        closing.push_async_callback(database.close)
        await _check(database)
        parts = await closing.enter_async_context(open_front_door(settings))
        door = Door(
            database,
            now=parts.clock.now,
            monotonic=parts.clock.monotonic,
            sleep=parts.clock.sleep,
            options=options_of(settings),
            records=Records(parts),
            files=Files(parts),
            tokens=_tokens(settings, parts.clock.monotonic),
            notices=_notices(settings),
        )
        try:
            await serve(
                create_app(door),
                host=host,
                port=port,
                trusted_proxies=settings.http_trusted_proxies,
                ready=ready,
            )
        except OSError as error:
            raise ConfigurationWrong(
                "The front door cannot listen",
                where=f"{host}:{port}",
                remedy="Stop what uses the port, or set BILLFLEET_HTTP_PORT to another.",
            ) from error


class StripeNotices:
    """Stripe's webhooks, as the front door reads them."""

    def __init__(self, secret: str) -> None:
        # Imported here: a front door that never hears of Stripe does not load its SDK.
        from billfleet_workers.main import payment_notices

        self._secret = secret
        self._stripe = payment_notices

    def read(self, payload: bytes, signature: str, now: datetime) -> PaymentReported | None:
        """The report in a call; NoticeRefused where it is not Stripe's."""
        try:
            return self._stripe.read_webhook(payload, signature, self._secret, now)
        except self._stripe.WebhookRefused as refused:
            raise NoticeRefused(str(refused)) from refused

    def tenant_of(self, report: PaymentReported) -> str:
        """The tenant that the attempt's key begins with."""
        return self._stripe.tenant_of_key(report.attempt_key)


def _notices(settings: Settings) -> StripeNotices | None:
    secret = settings.stripe_webhook_secret
    return (
        StripeNotices(secret.get_secret_value()) if secret and secret.get_secret_value() else None
    )


def options_of(settings: Settings) -> Options:
    """The front door's options, as the settings say."""
    return Options(
        public_url=settings.public_url,
        link_secrets=settings.link_secrets(),
        body_bytes_max=settings.http_body_bytes_max,
        requests_per_s=settings.http_requests_per_s,
        burst=settings.http_burst,
        streams_max=settings.http_streams_max,
    )


def _database(settings: Settings) -> Database:
    if settings.gateway_database_url is None:
        raise ConfigurationWrong(
            "The front door has no login of its own",
            where="environment variables",
            remedy=(
                f"Set GATEWAY_DATABASE_URL to the database as the role {front_door.ROLE}, whom row "
                "security lets see one tenant at a time."
            ),
        )
    return Database.connect(
        settings.gateway_database_url.get_secret_value(),
        pool_size=settings.database_pool_size,
        pool_timeout_s=3.0,
        statement_timeout_s=10.0,
        lock_timeout_s=3.0,
        idle_in_transaction_timeout_s=30.0,
        answer_grace_s=2.0,
        application_name="billfleet-gateway",
    )


async def _check(database: Database) -> None:
    try:
        async with database.transaction() as connection:
            login = await front_door.who_are_we(connection)
    except DatabaseError as error:
        raise DependencyUnreachable(
            f"The database does not let the front door in: {error}",
            where="GATEWAY_DATABASE_URL",
            remedy="Check the address and password, and that `billfleet migrate` has been run.",
        ) from error
    if not login.is_bound:
        raise ConfigurationWrong(
            f"Row security does not bind the role {login.role}: it would see every tenant's rows",
            where="GATEWAY_DATABASE_URL",
            remedy=f"Log in as {front_door.ROLE}, and as nobody who may do more.",
        )


def _tokens(settings: Settings, monotonic: Callable[[], float]) -> TokenCheck | None:
    url, issuer = settings.http_jwks_url, settings.http_jwt_issuer
    if url is None:
        return None
    if issuer is None:
        raise ConfigurationWrong(
            "A key set is named, and no issuer whose tokens it checks",
            where="BILLFLEET_HTTP_JWKS_URL",
            remedy="Set BILLFLEET_HTTP_JWT_ISSUER as well.",
        )
    rules = TokenRules(issuer, settings.http_jwt_audience, settings.http_jwt_tenant_claim)
    return TokenCheck(rules, key_set_at(url), monotonic)


def key_set_at(url: str) -> Callable[[], Awaitable[dict[str, Any]]]:
    """What fetches the key set at an address; ConnectionError or ValueError where there is none."""

    async def fetch() -> dict[str, Any]:
        timeout = aiohttp.ClientTimeout(total=ANSWER_TIMEOUT_S)
        try:
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.get(url, allow_redirects=False) as answer,
            ):
                if answer.status != 200:
                    raise ValueError(f"status {answer.status}")
                text = b""
                # A read gives what has arrived by then.
                while piece := await answer.content.read(KEY_SET_BYTES_MAX - len(text)):
                    text += piece
        except (TimeoutError, aiohttp.ClientError) as error:
            raise ConnectionError(type(error).__name__) from error
        found = orjson.loads(text)
        if not isinstance(found, dict):
            raise ValueError("not a key set")  # noqa: TRY004 - the bytes are wrong, not our call
        return found

    return fetch
