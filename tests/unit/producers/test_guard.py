"""The guard: what it says of a defect, and what it leaves out."""

from typing import Any

from starlette.responses import Response
from starlette.routing import Route
from structlog.testing import capture_logs

from billfleet_gateway.door import Options
from billfleet_gateway.guard import Guard


async def test_a_defect_is_logged_by_its_route_and_not_by_the_link_that_was_followed() -> None:
    """A link in the log would open its file for whoever reads the log."""

    async def fail(scope: Any, receive: Any, send: Any) -> None:
        scope["route"] = Route("/f/{token}", lambda _: Response())
        raise RuntimeError("defect")

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    scope: Any = {"type": "http", "method": "GET", "path": "/f/s3cret.s1gned", "headers": []}
    with capture_logs() as logs:
        await Guard(fail, Options())(scope, receive, send)
    assert sent[0]["status"] == 500
    assert [line["path"] for line in logs] == ["/f/{token}"]
