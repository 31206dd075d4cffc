"""The page's server: what it answers to which request, and every error in one shape."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from importlib.resources import files
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from pullback.errors import PullbackError
from pullback.explore.child import Children, WorkerError
from pullback.explore.guard import Guard, fault
from pullback.explore.hub import Hub
from pullback.explore.play import playground, policy
from pullback.report.assets import mathematics, template

LARGEST = 64 * 2**10  # bytes of a request
BODY_WITHIN = 5.0  # seconds
DEEPEST = 20  # objects and lists inside one another
_LONGEST_NAME = 64
PATIENCE, LOOK = 10.0, 1.0  # seconds for what is typed; between looks whether it is still wanted
_ASKED = ("view", "setup", "convention", "sample", "params", "formula")  # of a view
_HERE = Path(str(files("pullback.explore"))) / "static"


class App:
    """The answers; ``hub`` has the trainings, ``pool`` the processes."""

    def __init__(self, token: str, port: int, given: Mapping[str, Any] | None = None) -> None:
        self.token = token
        self._page = ""
        self.pool = Children(min(2, os.cpu_count() or 1), given)
        self.hub = Hub(self.pool)
        posts = {
            "view": self.view,
            "train": self.train,
            "control": self.control,
            "leave": self.leave,
        }
        routes = [
            Route("/", self.play),
            Route("/study", self.page),
            Route("/formulas", self.formulas),
            Route("/look.css", self.look),
            Route("/events", self.events),
            *(Route(f"/{name}", answer, methods=["POST"]) for name, answer in posts.items()),
            Mount("/static", StaticFiles(directory=_HERE)),
        ]
        self.asgi = Starlette(
            routes=[Mount(f"/{token}", routes=routes)],
            middleware=[Middleware(Guard, token=token, port=port)],
            exception_handlers={HTTPException: _http, PullbackError: _ours, Exception: _bug},
            lifespan=self._life,
        )

    @asynccontextmanager
    async def _life(self, _: Starlette) -> AsyncIterator[None]:
        warming = asyncio.create_task(self.pool.warm())
        yield
        warming.cancel()
        await self.hub.close()
        await self.pool.close()

    async def play(self, request: Request) -> Response:
        """The playground, which trains in the browser."""
        return HTMLResponse(playground(), headers={"Content-Security-Policy": policy()})

    async def page(self, request: Request) -> Response:
        """The page to study a network on; a worker makes it: this process loads no library."""
        self._page = self._page or (await self.pool.ask({"view": "page"}))["html"]
        return HTMLResponse(self._page)

    async def formulas(self, request: Request) -> Response:
        """The page of formulas, which asks for a view of what is typed."""
        return HTMLResponse((_HERE / "formulas.html").read_text(encoding="utf-8"))

    async def look(self, request: Request) -> Response:
        """The report's style sheet."""
        return Response(mathematics() + template("style.css"), media_type="text/css")

    async def events(self, request: Request) -> Response:
        """The stream of one browser."""
        browser = _name(request.query_params.get("browser"), "browser")
        return StreamingResponse(self.hub.listen(browser), media_type="text/event-stream")

    async def view(self, request: Request) -> Response:
        """One view of a setup: network, derivation, forecast or neurons; a program; a formula."""
        message = await _sent(request)
        asked = {name: message.get(name) for name in _ASKED}
        if asked["view"] == "formula":
            return JSONResponse(await self._typed(asked, request))
        return JSONResponse(await self.pool.ask(asked, request.is_disconnected))

    async def _typed(self, asked: dict[str, Any], request: Request) -> dict[str, Any]:
        """The answer to what is being typed: a worker that is slow at it ends when it is void."""
        answer = asyncio.create_task(self.pool.ask(asked, request.is_disconnected, PATIENCE))
        try:
            while not answer.done():
                await asyncio.wait({answer}, timeout=LOOK)
                if not answer.done() and await request.is_disconnected():
                    answer.cancel()
            return answer.result()
        except asyncio.CancelledError:
            if answer.cancelled():
                raise WorkerError("Gone", "nobody waits for this any more") from None
            answer.cancel()  # the server ends
            raise

    async def train(self, request: Request) -> Response:
        """Begin to train."""
        message = await _sent(request)
        page, browser = _name(message.get("page"), "page"), _name(message.get("browser"), "browser")
        return JSONResponse({"pid": await self.hub.train(page, browser, message.get("setup"))})

    async def control(self, request: Request) -> Response:
        """Pause, resume or stop."""
        message = await _sent(request)
        if message.get("do") not in ("pause", "resume", "stop"):
            raise HTTPException(400, "do is pause, resume or stop")
        await self.hub.control(_name(message.get("page"), "page"), message["do"])
        return JSONResponse({})

    async def leave(self, request: Request) -> Response:
        """A page has been closed."""
        message = await _sent(request)
        await self.hub.leave(_name(message.get("page"), "page"))
        return JSONResponse({})


async def _sent(request: Request) -> dict[str, Any]:
    """The object in a request, if it is no larger than a page's; raises HTTPException."""
    too_large = HTTPException(413, f"the request is larger than {LARGEST // 1024} KiB")
    length = request.headers.get("content-length", "0")
    if not length.isdigit() or int(length) > LARGEST:
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_WITHIN):
            async for chunk in request.stream():
                body += chunk
                if len(body) > LARGEST:
                    raise too_large
    except TimeoutError:
        late = f"the request has not arrived within {BODY_WITHIN:.0f} s"
        raise HTTPException(408, late, {"Connection": "close"}) from None
    except ClientDisconnect:
        raise HTTPException(400, "the request has not arrived") from None
    try:
        found = json.loads(body, parse_constant=_no_number)
    except (ValueError, RecursionError) as problem:
        raise HTTPException(400, f"the request is no JSON: {problem}") from None
    if not isinstance(found, dict):
        raise HTTPException(400, "the request is no JSON object")
    if _depth(found) > DEEPEST:
        raise HTTPException(400, f"the JSON is nested more than {DEEPEST} deep")
    return found


def _depth(found: object) -> int:
    """How many objects and lists stand inside one another."""
    depth, level = 0, [found]
    while level:
        inside = [
            each.values() if isinstance(each, dict) else each
            for each in level
            if isinstance(each, dict | list)
        ]
        level = [value for values in inside for value in values]
        depth += bool(inside)
    return depth


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number")


def _name(value: object, what: str) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= _LONGEST_NAME or not value.isprintable():
        raise HTTPException(400, f"{what} is missing; expected a name of its own")
    return value


_KINDS = {
    400: "BadRequest", 404: "NotFound", 405: "NotAllowed", 408: "TooSlow", 413: "TooLarge",
}  # fmt: skip


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return fault(error.status_code, _KINDS.get(error.status_code, "Refused"), error.detail)


async def _ours(request: Request, error: Exception) -> Response:
    kind = error.kind if isinstance(error, WorkerError) else type(error).__name__
    return fault(504 if kind == "TooSlow" else 422, kind, str(error))


async def _bug(request: Request, error: Exception) -> Response:
    return fault(500, "Fault", f"a fault of pullback: {type(error).__name__}: {error}")
