"""The demos of the gallery under paths of their own, behind the same server."""

import contextlib
import html
import json
from collections.abc import Sequence
from dataclasses import asdict

from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from demos.gallery_cards import title_of
from demos.gallery_style import WAITING_PAGE
from demos.opening import FAILED, OPEN, Opening

STATUS = "opening"  # last part of the path at which the status is asked for
FRESH = {"Cache-Control": "no-store"}


def routes(openings: Sequence[Opening]) -> list[BaseRoute]:
    """Serves each demo below `/NAME/`; as long as it is not there, a page that tells how far it is."""
    found: list[BaseRoute] = []
    for opening in openings:
        found.append(Route(f"/{opening.name}", _slash))
        found.append(Mount(f"/{opening.name}", app=Door(opening)))
    return found


def lifespan(openings: Sequence[Opening]):
    """Of the server: in the end all open demos are closed."""

    @contextlib.asynccontextmanager
    async def manager(app):
        try:
            yield
        finally:
            for opening in openings:
                await opening.close()

    return manager


class Door:
    """The ASGI application of one demo.

    Args:
        opening: of the demo, which begins when the first visitor comes.
    """

    def __init__(self, opening: Opening):
        self.opening = opening

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        below = request.url.path.removeprefix(scope.get("root_path", "")).strip("/")
        if below == STATUS:
            await self._status(request)(scope, receive, send)
        elif self.opening.app is not None:
            await self.opening.app(scope, receive, send)
        elif below:
            words = "The demo is not open any more; please load the page again."
            await Response(words, 503, media_type="text/plain")(scope, receive, send)
        else:
            self.opening.start()
            await HTMLResponse(waiting_page(self.opening), headers=FRESH)(scope, receive, send)

    def _status(self, request: Request) -> Response:
        if request.method == "POST":  # "Try again"
            self.opening.start(again=True)
            return RedirectResponse("./", status_code=303)
        return JSONResponse(asdict(self.opening.status()), headers=FRESH)


def waiting_page(opening: Opening) -> str:
    """What a visitor sees until the demo is there."""
    status = opening.status()
    bar = "" if status.part is None else f' value="{status.part:.3f}"'
    return WAITING_PAGE.substitute(
        title=html.escape(title_of(opening.name)),
        text=html.escape(status.text),
        bar=bar,
        failed="" if status.state == FAILED else " hidden",
        working=" hidden" if status.state == FAILED else "",
        status=STATUS,
        open=json.dumps(OPEN),
        ended=json.dumps(FAILED),
    )


async def _slash(request: Request) -> Response:
    query = f"?{request.url.query}" if request.url.query else ""
    return RedirectResponse(f"{request.url.path.rpartition('/')[2]}/{query}")
