"""What reaches a served page: bounded requests, which name no files but those that visitors sent."""

import json
import os
from collections.abc import Iterator
from urllib.parse import unquote

MOST_TEXT_BYTES = 1024**2  # of a request without files
MOST_UPLOAD_BYTES = 64 * 1024**2  # of one with files: the six that a page takes at most, and some room
_UPLOAD = "/upload"


class Guard:
    """An ASGI application in front of another one, which refuses what no page here needs.

    A request may have 1 MiB, an upload 64 MiB (what one file may have is Gradio's `max_file_size`). A request
    that names a file elsewhere than in the folder of uploads is refused: an address on the network Gradio
    would load, whatever its size, and pages mounted into another application would read any file.

    Args:
        app: the application behind.
        folder: of uploads.
    """

    def __init__(self, app, folder: str):
        self.app = app
        self.folder = os.path.realpath(folder)

    async def __call__(self, scope, receive, send):
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        if is_address(unquote(scope["path"]).rpartition("file=")[2]):
            await refuse(send, 403, "Files on the network are not served here.")
        elif scope["method"] not in ("POST", "PUT", "PATCH"):
            await self.app(scope, receive, send)
        elif scope["path"].rstrip("/").endswith(_UPLOAD):
            await self._upload(scope, receive, send)
        else:
            await self._text(scope, receive, send)

    async def _upload(self, scope, receive, send):
        if announced(scope) > MOST_UPLOAD_BYTES:
            await refuse(send, 413, "The files are too large.")
            return
        left = MOST_UPLOAD_BYTES

        async def counted():
            nonlocal left
            message = await receive()
            left -= len(message.get("body", b""))
            # one that never announced its size is cut off, as if its sender had gone
            return message if left >= 0 else {"type": "http.disconnect"}

        await self.app(scope, counted, send)

    async def _text(self, scope, receive, send):
        if announced(scope) > MOST_TEXT_BYTES:
            await refuse(send, 413, "The request is too large.")
            return
        body, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            body, more = body + message.get("body", b""), message.get("more_body", False)
            if len(body) > MOST_TEXT_BYTES:
                await refuse(send, 413, "The request is too large.")
                return
        if self._names_others(body):
            await refuse(send, 403, "Only files that were uploaded are read here.")
            return
        given = False

        async def replayed():
            nonlocal given
            if given:
                return await receive()
            given = True
            return {"type": "http.request", "body": body, "more_body": False}

        await self.app(scope, replayed, send)

    def _names_others(self, body: bytes) -> bool:
        """Whether JSON holds a file with a path outside the folder of uploads."""
        try:
            paths = list(_paths(json.loads(body)))
        except ValueError:  # no JSON: the application behind refuses it
            return False
        except RecursionError:  # too deep for any page
            return True
        return not all(self._was_sent(path) for path in paths if path is not None)

    def _was_sent(self, path: object) -> bool:
        try:
            return not is_address(path) and os.path.realpath(path).startswith(self.folder + os.sep)
        except (TypeError, ValueError):  # no text, or a zero in it
            return False


def is_address(text: object) -> bool:
    """Whether a text begins as an address on the network does."""
    return isinstance(text, str) and text.strip().lower().startswith(("http:", "https:", "ftp:", "//"))


def announced(scope) -> int:
    """The size that a request announces; 0 if it announces none."""
    value = dict(scope["headers"]).get(b"content-length", b"0")
    return int(value) if value.isdigit() else 0


async def refuse(send, status: int, words: str) -> None:
    """Answers in plain text."""
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"connection", b"close")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": words.encode()})


def _paths(value: object) -> Iterator[object]:
    """What stands under `"path"`, at any depth."""
    left = [value]
    while left:
        one = left.pop()
        if isinstance(one, dict):
            yield one.get("path")
            left.extend(one.values())
        elif isinstance(one, list):
            left.extend(one)
