import contextlib
import os
import socket
import stat
import urllib.request

import pytest

from applications import serving
from applications.serving import LOCAL_HOST, free_port, has_screen, private_files, serve

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


class SlowPage:
    """Answers to Gradio only at the last of some attempts."""

    def __init__(
        self,
        failures,
        words="When localhost is not accessible, a shareable link must be created.",
        kind=ValueError,
    ):
        self.failures, self.error = failures, kind(words)
        self.calls, self.closed = [], 0

    def launch(self, **options):
        self.calls.append(options)
        if len(self.calls) <= self.failures:
            raise self.error
        return None, "http://127.0.0.1:1/", None

    def close(self, verbose):
        self.closed += 1


def test_a_page_that_does_not_answer_at_once_is_asked_again(monkeypatch):
    pytest.importorskip("gradio")
    monkeypatch.setattr(serving.time, "sleep", lambda seconds: None)
    page = SlowPage(failures=2)
    assert serve(page, port=1, css="x") == "http://127.0.0.1:1/"
    assert page.closed == 2
    assert [call["server_port"] for call in page.calls] == [1, 1, 1]
    with pytest.raises(ValueError, match="the page at 127.0.0.1, port 1 does not answer"):
        serve(SlowPage(failures=serving.ATTEMPTS), port=1)


def test_a_server_that_came_too_late_keeps_its_port(monkeypatch):
    pytest.importorskip("gradio")
    monkeypatch.setattr(serving.time, "sleep", lambda seconds: None)
    with listening() as port:
        page = SlowPage(failures=1, words=f"Cannot find empty port in range: {port}-{port}.", kind=OSError)
        serve(page, port=port)
    assert [call["server_port"] == port for call in page.calls] == [True, False]


def test_another_error_is_not_tried_again():
    pytest.importorskip("gradio")
    page = SlowPage(failures=1, words="css must be a string")
    with pytest.raises(ValueError, match="css must be"):
        serve(page, port=1)
    assert len(page.calls) == 1


def test_nothing_but_the_page_is_open(monkeypatch):
    pytest.importorskip("gradio")
    page = SlowPage(failures=0)
    serve(page, port=1)
    (options,) = page.calls
    assert options["server_name"] == "127.0.0.1"
    assert options["share"] is False
    assert options["allowed_paths"] == []
    assert options["max_file_size"] == "10mb"
    for name in ("enable_monitoring", "mcp_server", "pwa", "run_history", "show_error", "ssr_mode"):
        assert options[name] is False


def test_files_of_visitors_are_private_and_gone_in_the_end(monkeypatch, tmp_path):
    monkeypatch.delenv("GRADIO_TEMP_DIR", raising=False)
    with private_files() as folder:
        assert os.environ["GRADIO_TEMP_DIR"] == str(folder)
        if os.name == "posix":
            assert stat.S_IMODE(folder.stat().st_mode) == 0o700
        (folder / "upload.png").write_text("mine")
    assert not folder.exists()
    assert "GRADIO_TEMP_DIR" not in os.environ
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    with private_files() as folder:
        assert folder == tmp_path
    assert tmp_path.exists()


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
