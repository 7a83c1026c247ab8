"""The few pages that people see: they come from links in mails, in any browser, without scripts.

Routes give a title and a body that is HTML already. The policy of the page lets nothing in from
elsewhere. It knows no route.
"""

from __future__ import annotations

from html import escape
from typing import Final

from fastapi.responses import HTMLResponse

_HEADERS: Final = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; "
        "base-uri 'none'; frame-ancestors 'none'"
    ),
    "Cache-Control": "no-store",
    "X-Robots-Tag": "noindex",
}
_STYLE: Final = """
:root { color-scheme: light dark; --ink: #1c2430; --soft: #5a6675; --paper: #fff;
        --ground: #f3f5f8; --line: #dde2e9; --accent: #1f5fd0; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8edf4; --soft: #9aa7b8; --paper: #1a2029; --ground: #11151b;
          --line: #2c3542; --accent: #6ea2ff; } }
* { box-sizing: border-box }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 1.5rem;
       background: var(--ground); color: var(--ink);
       font: 1rem/1.6 system-ui, -apple-system, "Segoe UI", Roboto, sans-serif; }
main { width: 100%; max-width: 30rem; padding: 2.25rem; background: var(--paper);
       border: 1px solid var(--line); border-radius: .75rem; }
h1 { margin: 0 0 .75rem; font-size: 1.35rem; line-height: 1.3; text-wrap: balance; }
p { margin: 0 0 1rem; color: var(--soft) } p:last-child { margin-bottom: 0 }
strong { color: var(--ink); overflow-wrap: anywhere }
button { width: 100%; padding: .75rem 1rem; border: 0; border-radius: .5rem; cursor: pointer;
         font: inherit; font-weight: 600; background: var(--accent); color: var(--paper); }
button:focus-visible { outline: 3px solid var(--accent); outline-offset: 3px }
"""


def page(title: str, body: str, *, status: int = 200) -> HTMLResponse:
    """A page. `body` is HTML: whoever calls has escaped what came from elsewhere."""
    return HTMLResponse(
        "<!doctype html>\n"
        f'<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style></head>"
        f"<body><main><h1>{escape(title)}</h1>{body}</main></body></html>\n",
        status,
        headers=_HEADERS,
    )
