"""The page in a real browser, with models that were never trained."""

import numpy as np
import pytest

pytest.importorskip("gradio")
pytest.importorskip("tokenizers")
pytest.importorskip("sacrebleu")
pytest.importorskip("av")
playwright = pytest.importorskip("playwright.sync_api")

from applications.serving import free_port, serve  # noqa: E402
from applications.sign_translation.formats import SignedClip  # noqa: E402
from applications.sign_translation.show import save_animation  # noqa: E402
from demos.sign_translation import LAUNCH, build  # noqa: E402
from tests.demos.signing import untrained  # noqa: E402

pytestmark = pytest.mark.slow

SECONDS = 60_000  # milliseconds that anything may take


@pytest.fixture(scope="module")
def address():
    served = build(untrained())
    yield serve(served, port=free_port(), **LAUNCH)
    served.close()


def opened(browser, address, width=1280):
    page = browser.new_page(viewport={"width": width, "height": 800})
    page.set_default_timeout(SECONDS)
    page.goto(address)
    page.wait_for_selector("#attention img")
    return page


@pytest.fixture
def page(browser, address):
    page = opened(browser, address)
    yield page
    page.close()


def see(page, selector, text):
    playwright.expect(page.locator(selector)).to_contain_text(text, timeout=SECONDS)


def tab(page, *names):
    for name in names:
        page.get_by_role("tab", name=name).locator("visible=true").click()


def upload(page, path):
    """Sends a file; a page that missed it gets it again."""
    for attempt in range(3):
        tab(page, "Upload")
        with page.expect_file_chooser() as chooser:
            page.get_by_role("button", name="Click to upload").locator("visible=true").click()
        chooser.value.set_files(str(path))
        try:
            page.get_by_text(path.name).wait_for(timeout=SECONDS / 3)
            break
        except playwright.TimeoutError:
            assert attempt < 2, "the upload never arrived"
            page.reload()
            page.wait_for_selector("#attention img")
    page.get_by_role("button", name="Translate the clip").click()


def test_a_chosen_sentence_is_signed_and_translated(page):
    see(page, "#verdict", "true sentence")
    see(page, "#signer", "never in training")
    page.get_by_role("radio").nth(7).click()
    see(page, "#signer", "never came together")
    assert page.locator("#alternatives tbody tr").count() == 4
    assert page.locator("#signer img").evaluate("image => image.naturalWidth") == 160


def test_a_meaning_is_composed_and_signed(page):
    tab(page, "Compose")
    page.get_by_label("Weather").click()
    page.get_by_role("option", name="thunder").click()
    page.locator("#sign").click()
    see(page, "#verdict", "thunder")
    see(page, "#verdict", "mountains")


def test_the_sample_is_downloaded_and_sent_back(page, tmp_path):
    tab(page, "Upload")
    with page.expect_download() as download:
        page.get_by_text("Download a sample clip").click()
    path = tmp_path / "mine.mp4"
    download.value.save_as(path)
    upload(page, path)
    see(page, "#signer", "as the model sees it")
    playwright.expect(page.locator("#verdict")).not_to_contain_text("true sentence", timeout=SECONDS)


def test_videos_that_cannot_be_used_are_explained(page, tmp_path):
    short = tmp_path / "<b>short<b>.gif"
    save_animation(SignedClip(np.arange(3 * 64, dtype="uint8").reshape(3, 8, 8, 1), "rain"), short)
    upload(page, short)
    see(page, "#verdict", "The video has 3 frames; at least 8 are needed")
    playwright.expect(page.locator("#signer img")).to_have_count(0)


def test_clips_and_sentences_are_found(page):
    tab(page, "Find")
    see(page, "#found-sentences", "Its own sentence comes")
    dialogs = []
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    box = page.locator("#typed textarea, #typed input").first
    box.fill("north <img src=x onerror=alert(1)>")
    box.press("Enter")
    see(page, "#found-clips", "Left out, as the model has never seen them: img, src")
    assert page.locator("#found-clips .card").count() == 4
    assert dialogs == []
    before = page.locator("#found-sentences").inner_text()
    page.get_by_label("From a clip to sentences").click()
    page.get_by_role("option").nth(3).click()
    playwright.expect(page.locator("#found-sentences")).not_to_have_text(before, timeout=SECONDS)


@pytest.mark.parametrize("query", ["", "?__theme=dark"])
def test_a_phone_shows_everything_in_its_width(browser, address, query):
    page = opened(browser, address + query, width=390)
    for name in ("Find", "How it learned", "Translate", "Compose", "Upload"):
        tab(page, name)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.close()


def test_nothing_is_fetched_from_elsewhere(browser, address):
    page = browser.new_page()
    hosts = set()
    page.on("request", lambda request: hosts.add(request.url.split("/")[2] if "//" in request.url else ""))
    page.goto(address)
    page.wait_for_selector("#attention img", timeout=SECONDS)
    page.close()
    assert hosts - {""} == {address.split("/")[2]}
