"""The page in a real browser, with an encoder that was hardly trained."""

import numpy as np
import pytest

pytest.importorskip("gradio")
pytest.importorskip("mlxtend")
playwright = pytest.importorskip("playwright.sync_api")

from PIL import Image  # noqa: E402

from applications.serving import free_port, serve  # noqa: E402
from demos.embedding_explorer import LAUNCH, build  # noqa: E402
from demos.embedding_explorer_model import Recipe, digits, load_or_train  # noqa: E402

pytestmark = pytest.mark.slow

SECONDS = 60_000  # milliseconds that anything may take
RECIPE = Recipe(shown=6, filters=(4, 8), projector=(8, 4), batch_size=1000, epochs=1)


@pytest.fixture(scope="module")
def address(tmp_path_factory):
    served = build(load_or_train(RECIPE, folder=tmp_path_factory.mktemp("cache")))
    yield serve(served, port=free_port(), **LAUNCH)
    served.close()


@pytest.fixture
def page(browser, address):
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(SECONDS)
    page.goto(address)
    page.wait_for_selector("#map svg")
    yield page
    page.close()


def see(page, selector, text):
    playwright.expect(page.locator(selector)).to_contain_text(text, timeout=SECONDS)


def test_a_click_on_the_map_and_on_a_neighbour_chooses_a_digit(page):
    label = digits(RECIPE.shown).labels[30]
    page.locator("#map text[data-place='30']").click(force=True)
    see(page, "#sentence", f"This is a {label}")
    playwright.expect(page.locator("#neighbours button")).to_have_count(10, timeout=SECONDS)
    second = page.locator("#neighbours button").nth(1)
    place, its_label = second.get_attribute("data-place"), second.locator("b").inner_text()
    second.click()
    see(page, "#sentence", f"This is a {its_label}")
    playwright.expect(page.locator(f"#map text.near[data-place='{place}']")).to_have_count(0, timeout=SECONDS)


def test_encoder_colour_and_number_of_neighbours_are_chosen(page):
    page.locator("#space").get_by_text("raw pixels").click()
    see(page, "#sentence", "space of raw pixels")
    page.locator("#colour").get_by_text("neighbours agree").click()
    playwright.expect(page.locator("#map text[class*='a']").first).to_be_visible(timeout=SECONDS)
    number = page.get_by_label("number input for Nearest neighbours")
    number.fill("4")
    number.press("Enter")
    playwright.expect(page.locator("#map line")).to_have_count(4, timeout=SECONDS)
    page.get_by_role("tab", name="Compare").click()
    playwright.expect(page.locator("#compare-maps svg")).to_have_count(3, timeout=SECONDS)
    see(page, "#scores", "random encoder")


def test_own_pictures_find_neighbours_and_names_of_files_are_text(page, tmp_path):
    image = (255 * digits(RECIPE.shown).shown[0, ..., 0]).astype("uint8")
    good, bad = tmp_path / "good.png", tmp_path / "<img src=x onerror=alert(1)>.png"
    Image.fromarray(np.kron(image, np.ones((4, 4), "uint8"))).save(good)
    bad.write_bytes(b"no picture")
    dialogs = []
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    page.get_by_role("tab", name="Upload").click()
    for files, text in (([good], "Most like a"), ([bad], "No result")):
        with page.expect_file_chooser() as chooser:
            page.get_by_role("button", name="Click to upload").locator("visible=true").click()
        chooser.value.set_files([str(path) for path in files])
        page.locator("text=" + files[0].name[:4]).first.wait_for()
        page.locator("#find").click()
        see(page, "#own", text)
        if files == [good]:
            page.get_by_label("Clear").locator("visible=true").first.click()
    assert dialogs == []


@pytest.mark.parametrize("query", ["", "?__theme=dark"])
def test_a_phone_shows_everything_in_its_width(browser, address, query):
    page = browser.new_page(viewport={"width": 400, "height": 800})
    page.set_default_timeout(SECONDS)
    page.goto(address + query)
    page.wait_for_selector("#map svg")
    for tab in ("Compare", "Upload", "Explore"):
        page.get_by_role("tab", name=tab).click()
        assert page.evaluate("document.documentElement.scrollWidth") <= 400
    page.close()
