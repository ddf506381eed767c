"""The page in a real browser, with models that were never trained."""

import numpy as np
import pytest

pytest.importorskip("gradio")
pytest.importorskip("tokenizers")
pytest.importorskip("pydicom")
playwright = pytest.importorskip("playwright.sync_api")

from PIL import Image  # noqa: E402

from applications.serving import free_port, serve  # noqa: E402
from demos.report_generation import LAUNCH, build  # noqa: E402
from tests.demos.chests import untrained  # noqa: E402

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
    page.wait_for_selector("#looks img")
    return page


@pytest.fixture
def page(browser, address):
    page = opened(browser, address)
    yield page
    page.close()


def see(page, selector, text):
    playwright.expect(page.locator(selector)).to_contain_text(text, timeout=SECONDS)


def tab(page, name):
    page.get_by_role("tab", name=name).locator("visible=true").click()


def upload(page, place, path):
    """Sends a file into one of the places."""
    places = page.get_by_role("button", name="Click to upload").locator("visible=true")
    free = places.count()
    with page.expect_file_chooser() as chooser:
        places.nth(place).click()
    chooser.value.set_files(str(path))
    playwright.expect(places).to_have_count(free - 1, timeout=SECONDS)


def picture(path, seed):
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (40, 50), dtype="uint8")).save(path)
    return path


def test_parts_are_left_out_and_the_report_is_written_again(page):
    see(page, "#notice", "no medical device")
    see(page, "#report", "True report")
    films = page.locator("#given figure").count()
    assert films > 2 and page.locator("#given .withheld").count() == 0
    page.get_by_role("checkbox", name="Prior image").check()
    see(page, "#report", "Without prior image the report")
    playwright.expect(page.locator("#given figure.withheld")).to_have_count(1)
    page.get_by_role("checkbox", name="Further views").check()
    see(page, "#report", "Without further views and prior image the report")
    playwright.expect(page.locator("#looks li").first.locator("img")).to_have_count(1)
    page.get_by_role("checkbox", name="Prior image").uncheck()
    page.get_by_role("checkbox", name="Further views").uncheck()
    playwright.expect(page.locator("#given figure.withheld")).to_have_count(0)


def test_another_study_is_chosen(page):
    before = page.locator("#given").inner_text()
    page.get_by_label("Studies of patients").click()
    page.get_by_role("option").nth(4).click()
    playwright.expect(page.locator("#given")).not_to_have_text(before, timeout=SECONDS)


def test_own_images_are_reported(page, tmp_path):
    tab(page, "Upload")
    page.locator("#send").click()
    see(page, "#own-report", "No report. Please choose at least one image")
    upload(page, 0, picture(tmp_path / "front.png", 0))
    page.get_by_role("textbox", name="Indication").fill("fever <img src=x onerror=alert(1)>")
    dialogs = []
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    page.locator("#send").click()
    see(page, "#own-report", "of a real image this says nothing")
    see(page, "#own-given", "fever <img src=x onerror=alert(1)>")
    playwright.expect(page.locator("#own-given img")).to_have_count(1)
    assert dialogs == []


def test_files_that_cannot_be_used_are_explained(page, tmp_path):
    tab(page, "Upload")
    path = tmp_path / "broken.dcm"
    path.write_text("no image")
    upload(page, 0, path)
    page.locator("#send").click()
    see(page, "#own-report", "No report. The file is no PNG, JPEG or DICOM file")


def test_reports_and_images_are_found(page):
    tab(page, "Find")
    see(page, "#found-reports", "Its own report comes")
    box = page.locator("#typed textarea, #typed input").first
    box.fill("no pneumothorax <b>zebra</b>")
    box.press("Enter")
    see(page, "#found-images", "Left out, as the model has never seen them: b, zebra")
    assert page.locator("#found-images .card").count() == 6
    before = page.locator("#found-reports").inner_text()
    page.get_by_label("From images to reports").click()
    page.get_by_role("option").nth(3).click()
    playwright.expect(page.locator("#found-reports")).not_to_have_text(before, timeout=SECONDS)


def test_the_scores_are_shown(page):
    tab(page, "Training")
    see(page, "#scores", "all normal (no model)")


@pytest.mark.parametrize("query", ["", "?__theme=dark"])
def test_a_phone_shows_everything_in_its_width(browser, address, query):
    page = opened(browser, address + query, width=390)
    for name in ("Upload", "Find", "Training", "Write"):
        tab(page, name)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.close()


def test_nothing_is_fetched_from_elsewhere(browser, address):
    page = browser.new_page()
    hosts = set()
    page.on("request", lambda request: hosts.add(request.url.split("/")[2] if "//" in request.url else ""))
    page.goto(address)
    page.wait_for_selector("#looks img", timeout=SECONDS)
    page.close()
    assert hosts - {""} == {address.split("/")[2]}
