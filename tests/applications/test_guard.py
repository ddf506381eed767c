import asyncio
import json

import pytest

from applications import guard
from applications.guard import Guard

pytestmark = pytest.mark.once


def asked(path, body=b"", method="POST", announce=True, chunk=1000):
    """The status of an answer, and what the application behind has read; `None` if it was not asked."""
    read, answers = [], []

    async def behind(scope, receive, send):
        whole = b""
        while True:
            message = await receive()
            whole += message.get("body", b"")
            if message["type"] == "http.disconnect" or not message.get("more_body"):
                break
        read.append(whole)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    chunks = [body[start : start + chunk] for start in range(0, len(body), chunk)] or [b""]
    messages = [
        {"type": "http.request", "body": part, "more_body": place < len(chunks) - 1}
        for place, part in enumerate(chunks)
    ]

    async def receive():
        return messages.pop(0) if messages else {"type": "http.disconnect"}

    async def send(message):
        answers.append(message)

    headers = [(b"content-length", str(len(body)).encode())] if announce else []
    scope = {"type": "http", "method": method, "path": path, "headers": headers}
    asyncio.run(Guard(behind, "/tmp/gradio")(scope, receive, send))
    return answers[0]["status"], read[0] if read else None


def test_what_is_asked_for_arrives_whole():
    body = json.dumps({"data": ["x" * 5000, {"path": "/tmp/gradio/a/b.png"}]}).encode()
    assert asked("/gradio_api/queue/join", body) == (200, body)
    assert asked("/gradio_api/upload", body) == (200, body)
    assert asked("/config", method="GET") == (200, b"")
    assert asked("/gradio_api/file=/tmp/gradio/a/b.png", method="GET") == (200, b"")


@pytest.mark.parametrize("path", ["/gradio_api/upload", "/face_naming/gradio_api/upload", "/x/queue/join"])
@pytest.mark.parametrize("announce", [True, False])
def test_what_is_too_large_is_stopped(monkeypatch, path, announce):
    monkeypatch.setattr(guard, "MOST_TEXT_BYTES", 5000)
    monkeypatch.setattr(guard, "MOST_UPLOAD_BYTES", 5000)
    status, read = asked(path, bytes(20_000), announce=announce)
    assert status == 413 or len(read) <= 5000
    assert asked(path, bytes(4000), announce=announce) == (200, bytes(4000))


@pytest.mark.parametrize(
    "address", ["http://example.org/a.png", "HTTPS://example.org", "  http:/x", "ftp://a", "//example.org/a"]
)
def test_no_address_on_the_network_is_taken_for_a_file(address):
    body = json.dumps({"data": [[{"meta": {"_type": "gradio.FileData"}, "path": address}]]})
    assert asked("/gradio_api/queue/join", body.encode()) == (403, None)
    assert asked("/gradio_api/queue/join", body.replace("h", "\\u0068").encode())[0] == 403
    assert asked(f"/gradio_api/file={address}", method="GET") == (403, None)


@pytest.mark.parametrize(
    "path",
    ["/etc/hosts", "/tmp/gradio/../secret.png", "/tmp/gradio", "secret.png", "/tmp/gradio2/a.png", "a\0b", 7],
)
def test_no_file_is_named_that_was_not_sent(path):
    body = json.dumps({"data": [{"path": path, "meta": {"_type": "gradio.FileData"}}]}).encode()
    assert asked("/gradio_api/queue/join", body) == (403, None)
    assert asked("/gradio_api/queue/join", b'{"data": [{"path": null}]}')[0] == 200


def test_an_escaped_address_is_seen_through():
    assert asked("/gradio_api/file=http%3A//example.org", method="GET") == (403, None)
    assert asked("/gradio_api/queue/join", b'{"path": ' * 300_00)[0] in (200, 403)
    assert asked("/gradio_api/queue/join", b"[" * 500_000, chunk=10**6)[0] in (200, 403)
    assert asked("/gradio_api/queue/join", b"no json") == (200, b"no json")


def test_text_may_hold_addresses():
    body = json.dumps(
        {"data": ["see http://example.org", {"url": "http://127.0.0.1/file=x", "path": "/tmp/gradio/x"}]}
    )
    assert asked("/gradio_api/queue/join", body.encode())[0] == 200
