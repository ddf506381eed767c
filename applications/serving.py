"""Demos on a port of this machine."""

import os
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from applications.guard import Guard

if TYPE_CHECKING:
    import gradio

LOCAL_HOST = "127.0.0.1"
FIRST_PORT = 7860
PORTS_TRIED = 100
LARGEST_UPLOAD = "10mb"
ATTEMPTS = 5  # until a page answers
IMPATIENT = (  # what Gradio says if its server does not answer, or has not started, within some seconds
    "localhost is not accessible",
    "Cannot find empty port in range",
)

# What Gradio could do besides, and what variables of the environment could turn on.
CLOSED = {
    "allowed_paths": [],
    "enable_monitoring": False,
    "footer_links": [],
    "mcp_server": False,
    "pwa": False,
    "run_history": False,
    "show_error": False,
    "ssr_mode": False,
}


def free_port(host: str = LOCAL_HOST, port: int | None = None) -> int:
    """`port` if it can be listened on; without one, the first that can, from 7860 on.

    Raises:
        ValueError: if `port` is taken or forbidden, `host` is no address of this machine, or none is free.
    """
    if port is not None:
        problem = listening_problem(host, port)
        if problem:
            raise ValueError(f"cannot serve on host {host}, port {port}: {problem}. Choose another one.")
        return port
    problem = None
    for candidate in range(FIRST_PORT, FIRST_PORT + PORTS_TRIED):
        problem = listening_problem(host, candidate)
        if problem is None:
            return candidate
    last = FIRST_PORT + PORTS_TRIED - 1
    raise ValueError(f"cannot serve on host {host}, any port from {FIRST_PORT} to {last}: {problem}.")


def listening_problem(host: str, port: int) -> str | None:
    """Why one cannot listen there; `None` if one can."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            probe.listen(1)
    except OSError as error:
        return error.strerror or str(error)
    return None


def has_screen() -> bool:
    """Whether a person sits before this terminal and a browser window can open."""
    graphical = sys.platform in ("darwin", "win32") or bool({"DISPLAY", "WAYLAND_DISPLAY"} & set(os.environ))
    return graphical and sys.stdout.isatty()


@contextmanager
def private_files() -> Iterator[Path]:
    """In the block Gradio keeps uploads and answers in a new folder of this user alone, deleted afterwards.

    Components remember the folder when they are made, so pages have to be built inside. A folder that the
    user chose with `GRADIO_TEMP_DIR` is taken instead, and left alone.
    """
    chosen = os.environ.get("GRADIO_TEMP_DIR")
    if chosen:
        yield Path(chosen)
        return
    with tempfile.TemporaryDirectory(prefix="keras-contrast-pages-", ignore_cleanup_errors=True) as folder:
        os.environ["GRADIO_TEMP_DIR"] = folder
        try:
            yield Path(folder)
        finally:
            del os.environ["GRADIO_TEMP_DIR"]


def serve(
    page: "gradio.Blocks",
    host: str = LOCAL_HOST,
    port: int = FIRST_PORT,
    browser: bool = False,
    share: bool = False,
    app_kwargs: dict | None = None,
    **options,
) -> str:
    """Serves a page in the background: no telemetry, uploads of 10 MB a file at most, a `Guard` before it.

    On an overloaded machine Gradio may give up waiting for its own server; it is asked again then, on another
    port if that server holds the first one after all.

    Args:
        page: what a demo's `build()` returned.
        host: address to listen on.
        port: a free port, to begin with.
        browser: also open the page in the user's browser.
        share: also ask Gradio for a public address, `page.share_url`, `None` if there could be none.
        app_kwargs: further arguments of the FastAPI application behind the page.
        **options: further arguments of `gradio.Blocks.launch`.

    Returns:
        The address of the page on this machine; `page.close()` ends it.

    Raises:
        ValueError: if the page cannot be reached from this machine.
    """
    from gradio.utils import get_upload_folder
    from starlette.middleware import Middleware

    folder = get_upload_folder()
    for attempt in range(1, ATTEMPTS + 1):
        try:
            # as the page keeps what it was given, each attempt gets its own
            given = {**(app_kwargs or {}), "middleware": [Middleware(Guard, folder=folder)]}
            _, address, _ = page.launch(
                server_name=host,
                server_port=port,
                inbrowser=browser,
                share=share,
                prevent_thread_lock=True,
                quiet=True,
                app_kwargs=given,
                max_file_size=LARGEST_UPLOAD,
                **CLOSED,
                **options,
            )
            return address
        except (ValueError, OSError) as error:
            if not any(words in str(error) for words in IMPATIENT):
                raise
            page.close(verbose=False)
            if attempt == ATTEMPTS:
                raise ValueError(
                    f"the page at {host}, port {port} does not answer; is there a proxy between this machine "
                    "and itself (HTTP_PROXY, NO_PROXY), or is it overloaded?"
                ) from None
            time.sleep(attempt)
            if listening_problem(host, port):  # the server that came too late has the port
                port = free_port(host)
