"""Demos on a port of this machine."""

import os
import socket
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import gradio

LOCAL_HOST = "127.0.0.1"
FIRST_PORT = 7860
PORTS_TRIED = 100
LARGEST_UPLOAD = "10mb"


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


def serve(
    page: "gradio.Blocks", host: str = LOCAL_HOST, port: int = FIRST_PORT, browser: bool = False, **options
) -> str:
    """Serves a page in the background: no telemetry, no public link, uploads of 10 MB at most.

    Args:
        page: what a demo's `build()` returned.
        host: address to listen on.
        port: a free port.
        browser: also open the page in the user's browser.
        **options: further arguments of `gradio.Blocks.launch`.

    Returns:
        The address of the page; `page.close()` ends it.
    """
    _, address, _ = page.launch(
        server_name=host,
        server_port=port,
        inbrowser=browser,
        share=False,
        prevent_thread_lock=True,
        quiet=True,
        run_history=False,
        footer_links=[],
        max_file_size=LARGEST_UPLOAD,
        **options,
    )
    return address
