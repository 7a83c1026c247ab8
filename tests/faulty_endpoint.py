"""An AWS endpoint that misbehaves: a proxy on loopback in front of a real one.

It answers errors before and after the request was carried out, cuts connections, and sends each
message one to three times. What goes wrong follows from a seed. Tests put its URL where the
endpoint's would be; nothing in the product knows it.
"""

import random
from dataclasses import dataclass, field
from typing import Self

from aiohttp import ClientSession, ClientTimeout, web

_DROPPED_HEADERS = {"host", "content-length", "transfer-encoding", "content-encoding", "connection"}


@dataclass
class FaultPlan:
    """How often each fault comes, as a share of calls, from a seed."""

    seed: int
    refused_before: float = 0.0
    lost_after: float = 0.0
    cut: float = 0.0
    sends_max: int = 1
    services: tuple[str, ...] = ("AmazonSQS", "DynamoDB")
    counts: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)


class FaultyEndpoint:
    """Use as `async with FaultyEndpoint(upstream, plan) as endpoint: endpoint.url`."""

    def __init__(self, upstream: str, plan: FaultPlan) -> None:
        self.plan = plan
        self.url = ""
        self._upstream = upstream.rstrip("/")
        self._runner: web.AppRunner | None = None
        self._session: ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = ClientSession(timeout=ClientTimeout(total=60), auto_decompress=False)
        app = web.Application(client_max_size=8 * 2**20)
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(self, *_exc: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
        if self._session is not None:
            await self._session.close()

    async def _answer(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        target = request.headers.get("X-Amz-Target", "")
        plan = self.plan
        touched = any(target.startswith(service) for service in plan.services)
        fault = self._draw() if touched else None
        if fault:
            plan.counts[fault] = plan.counts.get(fault, 0) + 1
        if fault == "refused_before":
            return _server_error()
        if fault == "cut":
            return self._cut(request)
        response = await self._forward(request, body)
        if touched and target.endswith(("SendMessage", "SendMessageBatch")):
            for _ in range(plan.random.randint(0, plan.sends_max - 1)):
                plan.counts["sent_again"] = plan.counts.get("sent_again", 0) + 1
                await self._forward(request, body)
        return _server_error() if fault == "lost_after" else response

    def _draw(self) -> str | None:
        number = self.plan.random.random()
        for name in ("refused_before", "lost_after", "cut"):
            share = getattr(self.plan, name)
            if number < share:
                return name
            number -= share
        return None

    async def _forward(self, request: web.Request, body: bytes) -> web.Response:
        assert self._session is not None
        headers = {k: v for k, v in request.headers.items() if k.lower() not in _DROPPED_HEADERS}
        async with self._session.request(
            request.method, self._upstream + request.path_qs, data=body, headers=headers
        ) as answer:
            kept = {k: v for k, v in answer.headers.items() if k.lower() not in _DROPPED_HEADERS}
            return web.Response(status=answer.status, body=await answer.read(), headers=kept)

    @staticmethod
    def _cut(request: web.Request) -> web.StreamResponse:
        if request.transport is not None:
            request.transport.close()
        return web.Response(status=500)


def _server_error() -> web.Response:
    return web.Response(
        status=500,
        body=b'{"__type":"InternalServerError","message":"injected"}',
        content_type="application/x-amz-json-1.0",
        headers={"x-amzn-ErrorType": "InternalServerError"},
    )
