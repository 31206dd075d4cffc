"""Who may ask: this machine's own pages, by the name they were given, with the token."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from html import escape
from typing import Any

from starlette.datastructures import Headers
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; worker-src 'self'; "
    "style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src data:; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}
_PAGE = """<!DOCTYPE html><html lang="en"><meta charset="utf-8"><title>{title}</title>
<meta name="viewport" content="width=device-width"><meta name="color-scheme" content="light dark">
<link rel="icon" href="data:,">
<body style="font: 1.1rem/1.6 system-ui, sans-serif; max-width: 36rem; margin: 15vh auto;
padding: 0 1.5rem"><h1 style="font-size: 1.5rem">{title}</h1><p>{message}</p></body></html>"""


def fault(status: int, kind: str, message: str, html: bool = False) -> Response:
    """An error in the one shape that all have; as a page where somebody opened an address."""
    if html:
        page = _PAGE.format(title=escape(kind), message=escape(message))
        return HTMLResponse(page, status, HEADERS)
    message = message.encode("utf-8", "backslashreplace").decode()  # a lone surrogate has no bytes
    told = {"error": {"status": status, "kind": kind, "message": message}}
    return JSONResponse(told, status, HEADERS)


class Guard:
    """Refuses what does not come from a page of this server, and adds headers that keep it so.

    A name that is rebound to 127.0.0.1 shows in ``Host``, a foreign page in ``Origin``.
    """

    def __init__(self, app: ASGIApp, token: str, port: int) -> None:
        self._app, self._token = app, token
        self._hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or answer it with 403."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        refusal = self._refusal(headers, scope["path"])
        if refusal is not None:
            html = "text/html" in headers.get("accept", "")
            await fault(403, "Forbidden", refusal, html)(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                held = message.setdefault("headers", [])
                known = {name.lower() for name, _ in held}
                held.extend(
                    (name.lower().encode(), value.encode())
                    for name, value in HEADERS.items()
                    if name.lower().encode() not in known
                )
            await send(message)

        await self._app(scope, receive, guarded)

    def _refusal(self, headers: Mapping[str, Any], path: str) -> str | None:
        host = headers.get("host", "")
        if host not in self._hosts:
            return f"this server answers to {' and '.join(sorted(self._hosts))} only, not to {host}"
        origin = headers.get("origin")
        if origin is not None and origin not in {f"http://{each}" for each in self._hosts}:
            return f"requests from pages of {origin} are refused"
        given = path.split("/")[1] if path.startswith("/") else ""
        if not secrets.compare_digest(given.encode(), self._token.encode()):
            return (
                "the address lacks its token, or has an old one: open the whole address that "
                "pullback explore printed when it started"
            )
        return None
