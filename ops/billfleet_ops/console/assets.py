"""The style sheet, the scripts and the icon, kept in memory and named by what they contain.

Templates ask `address` for a name that changes with the content, so that browsers may keep it for
ever. Nothing else of the package is served.
"""

import hashlib
from pathlib import Path
from typing import Final

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

FOLDER: Final = Path(__file__).parent / "static"
KINDS: Final = {".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
ASSETS: Final = {
    path.name: path.read_bytes() for path in sorted(FOLDER.iterdir()) if path.suffix in KINDS
}
VERSIONS: Final = {
    name: hashlib.sha256(content).hexdigest()[:12] for name, content in ASSETS.items()
}


def address(name: str) -> str:
    """Where it is found."""
    return f"/static/{name}?v={VERSIONS[name]}"


def routes() -> list[Route]:
    """The one address."""
    return [Route("/static/{name}", asset)]


async def asset(request: Request) -> Response:
    """The file's content."""
    name = request.path_params["name"]
    if name not in ASSETS:
        return PlainTextResponse("There is no such file.\n", 404)
    is_named = request.query_params.get("v") == VERSIONS[name]
    keeping = "public, max-age=31536000, immutable" if is_named else "no-cache"
    kind = KINDS[Path(name).suffix]
    return Response(ASSETS[name], media_type=kind, headers={"Cache-Control": keeping})
