"""A console served to Chromium, pages that fail for any error, and axe-core's word on them."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import uvicorn
from playwright.async_api import Browser, Page
from starlette.types import ASGIApp

from billfleet_ops.console.serving import bind

AXE = Path(__file__).parent / "browser" / "vendor" / "axe.min.js"
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


@asynccontextmanager
async def served(app: ASGIApp) -> AsyncIterator[str]:
    """Serve on a free port; gives the address."""
    with bind("127.0.0.1", 0) as listening:
        config = uvicorn.Config(
            app, log_level="error", lifespan="off", timeout_graceful_shutdown=1, ws="none"
        )
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            await serving


@asynccontextmanager
async def opened(
    browser: Browser, *, width: int = 1280, scheme: str = "light"
) -> AsyncIterator[Page]:
    """A page that fails the test for any error in its console."""
    context = await browser.new_context(
        viewport={"width": width, "height": 800},
        color_scheme="dark" if scheme == "dark" else "light",
    )
    page = await context.new_page()
    errors: list[str] = []
    page.on("console", lambda said: errors.append(said.text) if said.type == "error" else None)
    page.on("pageerror", lambda error: errors.append(str(error)))
    try:
        yield page
    finally:
        await context.close()
    unexpected = [one for one in errors if "404" not in one]
    assert not unexpected, unexpected


async def violations(page: Page) -> list[str]:
    """What axe-core has against the page."""
    await page.evaluate(AXE.read_text())
    found = await page.evaluate("tags => axe.run({runOnly: tags})", TAGS)
    return [
        f"{one['id']}: {one['help']} ({[node['target'] for node in one['nodes']][:3]})"
        for one in found["violations"]
    ]
