"""The page in a real browser, with a model that was not trained."""

import numpy as np
import pytest

pytest.importorskip("gradio")
pytest.importorskip("mlxtend")
pytest.importorskip("skimage")
playwright = pytest.importorskip("playwright.sync_api")

from PIL import Image  # noqa: E402

from applications.face_naming.corpus import DigitWorld  # noqa: E402
from applications.face_naming.formats import PhotoBatches  # noqa: E402
from applications.face_naming.secla import SECLA  # noqa: E402
from applications.serving import free_port, serve  # noqa: E402
from demos.face_naming import LAUNCH, build  # noqa: E402
from tests.demos.pictures import png_header  # noqa: E402

pytestmark = pytest.mark.slow

SECONDS = 30_000  # milliseconds that anything may take


@pytest.fixture(scope="module")
def address():
    held_out = DigitWorld(0).photos(30, "test")
    model = SECLA.small(PhotoBatches(held_out))
    history = {"loss": [3.0, 2.0], "face_accuracy": [0.4, 0.5], "val_face_accuracy": [0.4, 0.5]}
    served = build(model, held_out, history)
    yield serve(served, port=free_port(), **LAUNCH)
    served.close()


@pytest.fixture
def page(browser, address):
    page = browser.new_page(viewport={"width": 1280, "height": 800})
    page.set_default_timeout(SECONDS)
    dialogs = []
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    page.goto(address)
    page.wait_for_selector("#table table")
    yield page
    page.close()
    assert dialogs == []


def names(page):
    return page.locator("#table tbody td:nth-child(2)").all_inner_texts()


def see(page, selector, text):
    playwright.expect(page.locator(selector)).to_contain_text(text, timeout=SECONDS)


def upload(page, path, caption):
    """Sends a file; on a busy machine the page may miss one that comes too early, so it is sent again."""
    for attempt in range(3):
        page.get_by_role("tab", name="Use your own").click()
        page.get_by_label("Caption: who may be").fill(caption)
        with page.expect_file_chooser() as chooser:
            page.get_by_role("button", name="Click to upload").click()
        chooser.value.set_files(str(path))
        try:
            page.get_by_text(path.name).wait_for(timeout=SECONDS / 3)
            break
        except playwright.TimeoutError:
            assert attempt < 2, "the upload never arrived"
            page.reload()
            page.wait_for_selector("#table table")
    page.get_by_role("button", name="Name the faces").click()


def test_a_chosen_photo_is_named_without_scrolling(page):
    before = page.locator("#caption").inner_text()
    page.locator("#gallery button").nth(3).click()
    playwright.expect(page.locator("#caption")).not_to_have_text(before, timeout=SECONDS)
    see(page, "#verdict", "right")
    assert names(page)
    box = page.locator("#table").bounding_box()
    assert box["y"] + box["height"] <= 800


def test_the_highest_threshold_leaves_nobody_a_name(page):
    number = page.get_by_label("number input for Rejection threshold")
    number.fill(number.get_attribute("max"))
    number.press("Enter")
    see(page, "#effect", "0 get a name.")
    playwright.expect(page.locator("#table")).to_contain_text("no name", timeout=SECONDS)
    assert set(names(page)) == {"no name"}
    number.fill(number.get_attribute("min"))
    number.press("Enter")
    playwright.expect(page.locator("#table")).not_to_contain_text("rejected", timeout=SECONDS)


def test_a_caption_is_text_and_never_markup(page, tmp_path):
    sheet = np.full((64, 128), 250, "uint8")
    photo = DigitWorld(0).photos(1, "test")[0]
    sheet -= (photo.image * 0.9).astype("uint8")
    path = tmp_path / "digits.png"
    Image.fromarray(sheet).save(path)
    upload(page, path, "<script>alert(1)</script><img src=x onerror=alert(2)> Two and Seven")
    see(page, "#verdict", "found")
    see(page, "#caption", "<script>alert(1)</script>")
    assert page.locator("#caption img, #caption script").count() == 0
    assert set(names(page)) <= {"Two", "Seven", "no name"}


def test_unreadable_uploads_are_explained_and_leave_no_old_result(page, tmp_path):
    huge = tmp_path / "huge.png"
    huge.write_bytes(png_header(60_000, 60_000))
    upload(page, huge, "Two")
    see(page, "#verdict", "at most 16 million")
    assert page.locator("#table table, #picture img").count() == 0
    number = page.get_by_label("number input for Rejection threshold")
    number.fill(number.get_attribute("max"))
    number.press("Enter")
    see(page, "#effect", "0 get a name.")
    see(page, "#verdict", "at most 16 million")


def test_a_cut_off_upload_is_explained_and_the_page_goes_on(page, tmp_path):
    cut = tmp_path / "cut.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (90, 90), "uint8")).save(cut)
    cut.write_bytes(cut.read_bytes()[:4000])
    upload(page, cut, "Two")
    see(page, "#verdict", "damaged or cut off")
    page.get_by_role("tab", name="Choose a photo").click()
    page.locator("#gallery button").nth(2).click()
    see(page, "#verdict", "right")


@pytest.mark.parametrize("query", ["", "?__theme=dark"])
def test_a_phone_shows_everything_in_its_width(browser, address, query):
    page = browser.new_page(viewport={"width": 400, "height": 800})
    page.goto(address + query)
    page.wait_for_selector("#table table", timeout=SECONDS)
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    page.get_by_role("tab", name="How it learned").click()
    shown = ".on-dark" if query else ".on-light"
    playwright.expect(page.locator(f"{shown} img").first).to_be_visible(timeout=SECONDS)
    playwright.expect(page.locator("img:visible")).to_have_count(2, timeout=SECONDS)
    page.close()


@pytest.fixture
def real(page):
    """The tab of real photos, with the example's face found."""
    pytest.importorskip("dlib")
    page.get_by_role("tab", name="Real photos").click()
    page.get_by_role("button", name="Try an example").click()
    see(page, "#real-verdict", "1 face found")
    return page


def test_the_example_is_named_recognised_and_forgotten(real):
    people = real.get_by_label("2. Who may be in it")
    assert people.input_value() == "Eileen Collins"
    real.locator("#real-send").click()
    see(real, "#real-table", "the only face and the only name")
    see(real, "#real-table", "Eileen Collins")
    people.fill("Somebody Else; Eileen Collins")
    real.locator("#real-send").click()
    see(real, "#real-table", "like a stored face of this name")
    real.get_by_role("button", name="Forget this person").click()
    see(real, "#real-verdict", "Forgotten")
    assert real.get_by_text("Eileen Collins").count() == 0
    assert real.locator("#real-picture img").count() == 0
    playwright.expect(real.get_by_role("button", name="Forget this person")).to_be_hidden(timeout=SECONDS)


def test_a_corrected_name_is_text_and_never_markup(real):
    name = "<img src=x onerror=alert(3)> **[a](b)** | $$x$$"
    real.get_by_label("2. Who may be in it").fill(name)
    real.locator("#real-send").click()
    see(real, "#real-table", name)
    assert real.locator("#real-table a, #real-table img").count() == 0


def test_real_photos_fit_the_width_of_a_phone(browser, address):
    pytest.importorskip("dlib")
    page = browser.new_page(viewport={"width": 400, "height": 800})
    page.goto(address)
    page.get_by_role("tab", name="Real photos").click(timeout=SECONDS)
    page.get_by_role("button", name="Try an example").click()
    see(page, "#real-verdict", "1 face found")
    page.locator("#real-send").click()
    see(page, "#real-table", "Eileen Collins")
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    page.close()


def test_nothing_is_fetched_from_elsewhere(browser, address):
    page = browser.new_page()
    hosts = set()
    page.on("request", lambda request: hosts.add(request.url.split("/")[2]))
    page.goto(address)
    page.wait_for_selector("#table table", timeout=SECONDS)
    page.close()
    assert hosts == {address.split("/")[2]}
