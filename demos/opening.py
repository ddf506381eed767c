"""Demos that are opened when somebody first asks for them: models come from the cache or are trained then."""

import asyncio
import importlib
import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import fastapi
import gradio as gr

from applications.environment import MissingPackageError, load_keras
from applications.registry import Application, load
from applications.serving import CLOSED, LARGEST_UPLOAD

NOT_YET, WAITING, OPENING, OPEN, FAILED = "not yet", "waiting", "opening", "open", "failed"
_BACK = '<nav><a class="back-to-gallery" href="../">&larr; All demos</a></nav>'
_BACK_STYLE = "\n.back-to-gallery {font-size: .9rem; padding: 4px 8px 4px 0}\n"

logger = logging.getLogger("contrast")
_one_at_a_time = threading.Lock()


@dataclass(frozen=True)
class Status:
    """Where an opening is.

    Args:
        state: one of `"not yet"`, `"waiting"` for another one, `"opening"`, `"open"` and `"failed"`.
        text: what is being done, or what went wrong.
        part: share of the present stage that is done, `None` if it is not known.
        seconds: since somebody asked for the demo.
    """

    state: str
    text: str = ""
    part: float | None = None
    seconds: float = 0.0


@dataclass(eq=False)
class Opening:
    """One demo behind a path: not there, being opened, there.

    Args:
        name: of the demo, also the path under which it is served.
        prepare: returns the page and further arguments of `gradio.mount_gradio_app`; it may take minutes.
            What it does is followed through `applications.demo_cache.trainings_watched`.
    """

    name: str
    prepare: Callable[[], tuple[gr.Blocks, dict]]
    app: fastapi.FastAPI | None = None
    _status: Status = field(default_factory=lambda: Status(NOT_YET))
    _asked: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _closing: asyncio.Event | None = None
    _holder: asyncio.Task | None = None

    def status(self) -> Status:
        """Where the opening is now."""
        status = self._status
        if status.state in (WAITING, OPENING):
            return Status(status.state, status.text, status.part, time.monotonic() - self._asked)
        return status

    def start(self, again: bool = False) -> None:
        """Begins to open, unless that was begun before; to be called in the event loop that serves.

        Args:
            again: also if it failed before.
        """
        with self._lock:
            if self._status.state not in ((NOT_YET, FAILED) if again else (NOT_YET,)):
                return
            self._asked = time.monotonic()
            self._status = Status(WAITING, "Waits until another demo has been opened.")
        loop = asyncio.get_running_loop()
        threading.Thread(target=self._open, args=(loop,), name=f"opens {self.name}", daemon=True).start()

    async def close(self) -> None:
        """Ends what an open demo does in the background, and deletes the files of its visitors."""
        if self._closing is not None:
            self._closing.set()
            with suppress(Exception):  # the server goes on ending
                await self._holder

    def _open(self, loop: asyncio.AbstractEventLoop) -> None:
        with _one_at_a_time:
            self._status = Status(OPENING, "Preparing: Keras is loaded, data are read or drawn.")
            try:
                page, options = self._prepared()
                asyncio.run_coroutine_threadsafe(self._enter(page, options), loop).result()
            except MissingPackageError as error:
                self._status = Status(FAILED, str(error))
                logger.warning("%s: %s", self.name, error)
            except Exception:
                self._status = Status(FAILED, "It could not be opened; the terminal says why.")
                logger.exception("The demo %s could not be opened.", self.name)

    def _prepared(self) -> tuple[gr.Blocks, dict]:
        load_keras()
        from applications.demo_cache import trainings_watched

        with trainings_watched(self._hear):
            return self.prepare()

    def _hear(self, progress) -> None:
        part = progress.done / progress.total if progress.total else None
        stage = f", stage {progress.stage} of {progress.stages}" if progress.stages > 1 else ""
        if progress.done == progress.total:
            self._status = Status(OPENING, "Measuring what was learned.")
        else:
            told = f": {progress.text}" if progress.text else ""
            self._status = Status(OPENING, f"Training{stage}{told}", part)

    async def _enter(self, page: gr.Blocks, options: dict) -> None:
        """Makes the application of the page, and starts what it does in the background."""
        app = fastapi.FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
        gr.mount_gradio_app(app, page, path="", max_file_size=LARGEST_UPLOAD, **CLOSED, **options)
        page.has_launched = True  # else Gradio does not look whether a file that is named was uploaded
        self._closing, ready = asyncio.Event(), asyncio.Event()
        self._holder = asyncio.create_task(self._hold(app, ready))
        waiting = asyncio.create_task(ready.wait())
        await asyncio.wait((waiting, self._holder), return_when=asyncio.FIRST_COMPLETED)
        if not ready.is_set():
            waiting.cancel()
            self._holder.result()  # raises what went wrong
        self.app, self._status = app, Status(OPEN)

    async def _hold(self, app: fastapi.FastAPI, ready: asyncio.Event) -> None:
        """One task enters and leaves the lifespan of the page."""
        async with app.router.lifespan_context(app):
            ready.set()
            await self._closing.wait()


def opening_of(row: Application) -> Opening:
    """The opening of a row of the registry that has a demo."""

    def prepare() -> tuple[gr.Blocks, dict]:
        build = load(row.demo)
        page = build()
        options = dict(getattr(importlib.import_module(build.__module__), "LAUNCH", {}))
        options["css"] = options.get("css", "") + _BACK_STYLE
        return with_way_back(page), options

    return Opening(row.task, prepare)


def with_way_back(page: gr.Blocks) -> gr.Blocks:
    """Puts a link to the gallery on top of a page."""
    with page:
        gr.HTML(_BACK, padding=False)
    page.children.insert(0, page.children.pop())
    page.config = page.get_config_file()
    return page
