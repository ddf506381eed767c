import contextlib
import socket
import urllib.request

import pytest

from applications import serving
from applications.serving import LOCAL_HOST, free_port, has_screen, serve

pytestmark = pytest.mark.once


@contextlib.contextmanager
def listening(port=0):
    with socket.socket() as taken:
        taken.bind((LOCAL_HOST, port))
        taken.listen(1)
        yield taken.getsockname()[1]


def test_a_taken_port_is_refused_if_it_was_asked_for():
    with listening() as port, pytest.raises(ValueError, match=f"host 127.0.0.1, port {port}: "):
        free_port(port=port)


def test_a_taken_port_is_passed_over_if_none_was_asked_for(monkeypatch):
    with listening() as port:
        monkeypatch.setattr(serving, "FIRST_PORT", port)
        assert port < free_port() < port + serving.PORTS_TRIED
        monkeypatch.setattr(serving, "PORTS_TRIED", 1)
        with pytest.raises(ValueError, match="any port from"):
            free_port()


def test_a_free_port_is_taken_as_it_is():
    with listening() as port:
        pass
    assert free_port(port=port) == port


@pytest.mark.parametrize("host", ["203.0.113.7", "no such host"])
def test_an_address_of_another_machine_is_refused(host):
    with pytest.raises(ValueError, match=f"cannot serve on host {host}, port 7999"):
        free_port(host, 7999)


def test_without_a_screen_no_browser_is_opened(monkeypatch):
    monkeypatch.setattr(serving.sys, "platform", "linux")
    monkeypatch.setattr(serving.sys.stdout, "isatty", lambda: True, raising=False)
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    assert not has_screen()
    monkeypatch.setenv("DISPLAY", ":0")
    assert has_screen()
    monkeypatch.setattr(serving.sys.stdout, "isatty", lambda: False, raising=False)
    assert not has_screen()


@pytest.mark.slow
def test_a_page_is_served_on_this_machine_alone():
    gradio = pytest.importorskip("gradio")
    with gradio.Blocks() as page:
        gradio.Markdown("# Names in photos")
    address = serve(page, port=free_port(), css="h1 {color: red}")
    try:
        assert address.startswith(f"http://{LOCAL_HOST}:")
        with urllib.request.urlopen(address) as answer:
            assert b"Names in photos" in answer.read()
        assert page.share_url is None
        assert page.max_file_size == 10 * 1024**2
    finally:
        page.close()
