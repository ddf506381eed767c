"""The gallery and all demos behind one server: what strangers may send, and many of them at once."""

import concurrent.futures
import io
import json
import re
import threading
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest

gradio = pytest.importorskip("gradio")
pytest.importorskip("sacrebleu")
pytest.importorskip("tokenizers")
playwright = pytest.importorskip("playwright.sync_api")

import httpx  # noqa: E402
from PIL import Image  # noqa: E402

from applications.serving import free_port, private_files, serve  # noqa: E402
from demos import gallery  # noqa: E402
from demos.opening import OPEN, Opening, with_way_back  # noqa: E402
from demos.theme import THEME  # noqa: E402
from tests.demos.pictures import png_header  # noqa: E402
from tests.demos.untrained import PAGES  # noqa: E402
from tests.demos.visitor import Visitor, file_at  # noqa: E402

pytestmark = pytest.mark.slow

SECONDS = 60_000  # milliseconds that anything may take
MARKUP = "<script>window.hit = 1</script><img src=x onerror='window.hit = 1'>${window.hit = 1}{{7*7}}"
WORDS = [f"zebra{letter}" for letter in "abcdefghijklmnopqrst"]  # nobody else sends the same
PLACES = {  # where files are sent to, and what the answer says of one that is refused
    "face_naming": ("Photo of handwritten digits", "No result."),
    "anomaly_detection": ("Picture", "No result."),
    "sign_translation": ("Video of one signed sentence", "No translation."),
    "schemes": ("Pictures of digits, at most 6", "No result."),
    "report_generation": ("Main view", "No report."),
}


def opening(name):
    return Opening(name, lambda: (with_way_back(PAGES[name]()), {"theme": THEME}))


@pytest.fixture(scope="module")
def address():
    """Of the gallery, with all demos open."""
    with private_files():
        page, demos = gallery.build(), [opening(name) for name in PAGES]
        address = serve(page, port=free_port(), **gallery.serving(demos))
        for one in demos:
            httpx.get(f"{address}{one.name}/", timeout=60)
        while any(one.status().state in ("waiting", "opening") for one in demos):
            time.sleep(0.2)
        assert [(one.name, one.status()) for one in demos if one.status().state != OPEN] == []
        yield address
        page.close(verbose=False)


@pytest.fixture(params=PAGES)
def visitor(request, address):
    with Visitor(f"{address}{request.param}/") as visitor:
        visitor.name = request.param
        visitor.place, visitor.refusal = PLACES[request.param]
        yield visitor


def picture(seed=0, side=40):
    """A PNG with a white stroke on black, so that every page finds something on it."""
    pixels = np.random.default_rng(seed).integers(0, 30, (side, side), "uint8")
    pixels[8:-8, side // 2 - 2 : side // 2 + 2] = 255
    return encoded(pixels)


def encoded(pixels, form="PNG"):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, form)
    return buffer.getvalue()


def sent(visitor, name, content):
    value = visitor.uploaded(name, content)
    several = visitor.place.startswith("Pictures")
    return visitor.ask(visitor.place, {visitor.place: [value] if several else value})


def refused(visitor, answer):
    """Whether the page says what is wrong, or refuses without an answer; nothing of this machine is told."""
    success, output = answer
    words = json.dumps(output)
    assert "Traceback" not in words and "site-packages" not in words
    return not success or visitor.refusal in words


def zipped(*entries):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return buffer.getvalue()


def bad_files():
    """Name and content of what no page can use; each also under the name that the page asks for."""
    playlist = b"#EXTM3U\n#EXTINF:1,\nfile:///etc/hosts\n#EXT-X-ENDLIST\n"
    return {
        "many pixels, few bytes": png_header(20_000, 20_000),
        "an animation of many pixels": encoded(np.zeros((5000, 5000), "uint8"), "GIF"),
        "cut off": picture(side=200)[:500],
        "a corrupt video": b"\0\0\0\x20ftypisom" + bytes(range(256)) * 20,
        "a list of other files": playlist,
        "a page": b"<html><script>alert(1)</script></html>",
        "a drawing with a script": b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
        "a pickle": b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x04true\x85R.",
        "an archive": zipped(("a.png", picture())),
        "nothing": b"",
    }


@pytest.mark.parametrize("what", bad_files())
def test_a_file_that_is_not_what_it_says_is_refused(visitor, what):
    ending = "mp4" if visitor.name == "sign_translation" else "png"
    assert refused(visitor, sent(visitor, f"file.{ending}", bad_files()[what]))


def test_a_file_that_is_what_it_says_is_taken(visitor):
    if visitor.name == "sign_translation":
        pytest.skip("the page of sign translation has a test of its own with a video")
    answer = sent(visitor, "file.png", picture())
    assert not refused(visitor, answer)


@pytest.mark.parametrize(
    ("entries", "words"),
    [
        ([("a.png", bytes(50 * 1024**2))], "times its own size"),
        ([(f"{number}.png", b"") for number in range(5001)], "at most 5,000 pictures"),
        ([("../../evil.png", picture())], "without '..'"),
        ([("/etc/evil.png", picture())], "without '..'"),
        ([("..\\\\evil.png", picture())], "without '..'"),
        ([(f"{number}.png", png_header(9000, 9000)) for number in range(12)], "must hold pictures"),
    ],
    ids=["bomb", "many files", "leads out", "absolute", "leads out on Windows", "many pixels"],
)
def test_an_archive_that_is_not_safe_is_refused(address, entries, words):
    with Visitor(f"{address}anomaly_detection/") as visitor:
        (source,) = [
            event
            for event in visitor.config["dependencies"]
            if "Zip of normal pictures" in [visitor.label(one) for one in event["inputs"]]
        ]
        (chosen,) = [
            event
            for event in visitor.config["dependencies"]
            if event["targets"][0][1] == "select"
            and event["outputs"] == source["inputs"][:1]
            and visitor.parts[event["targets"][0][0]]["props"]["id"] == "zip"
        ]
        visitor.send({"data": [], "fn_index": chosen["id"], "session_hash": visitor.session})
        success, output = visitor.ask(
            "Zip of normal pictures",
            {"Zip of normal pictures": visitor.uploaded("mine.zip", zipped(*entries))},
        )
        assert success
        assert words in json.dumps(output, ensure_ascii=False).replace("&#x27;", "'")
        assert "Not trained." in json.dumps(output)


@pytest.mark.parametrize(
    ("name", "label", "words"),
    [
        ("face_naming", "Caption: who may be in the photo", "at most 500 can be read"),
        ("face_naming", "Its caption", "at most 500 can be read"),
        ("sign_translation", "From a sentence to clips: the sentence", "knows none of these words"),
        ("report_generation", "Indication (may stay empty)", "at most 600 can be read"),
        ("report_generation", "From a text to images: findings", "knows none of these words"),
    ],
)
def test_ten_thousand_words_are_answered(address, name, label, words):
    if label == "Its caption":
        pytest.importorskip("dlib")
        pytest.importorskip("face_recognition_models")
    with Visitor(f"{address}{name}/") as visitor:
        values = {label: "zebra " * 10_000}
        place = PLACES[name][0]
        if place in [visitor.label(one) for one in visitor.event(label)["inputs"]]:
            values[place] = visitor.uploaded("file.png", picture())
        began = time.monotonic()
        success, output = visitor.ask(label, values)
        assert time.monotonic() - began < 60
        assert success
        assert words in json.dumps(output)


def test_files_of_the_machine_and_of_others_are_not_given_out(visitor, tmp_path):
    secret = tmp_path / "secret.png"
    secret.write_bytes(picture())
    mine = visitor.uploaded("mine.png", picture(1))["path"]
    assert visitor.get(f"/gradio_api/file={mine}").status_code == 200
    folder = mine.rpartition("/")[0]
    name = re.escape(folder.rpartition("/")[2])
    assert re.fullmatch("[0-9a-f]{40,}", name)  # nobody guesses it
    outside = [str(secret), "/etc/hosts", f"{folder}/../../../etc/hosts", folder, folder.rpartition("/")[0]]
    for path in [*outside, "http://127.0.0.1:1/x.png", "https://example.org/x.png"]:
        assert visitor.get(f"/gradio_api/file={path}").status_code in (403, 404), path
    place = visitor.place
    for path in outside[:2]:
        value = [file_at(path)] if place.startswith("Pictures") else file_at(path)
        with pytest.raises(httpx.HTTPStatusError, match="403"):
            visitor.ask(place, {place: value})


def test_no_file_is_fetched_from_an_address(visitor):
    value = file_at("http://127.0.0.1:1/x.png")
    with pytest.raises(httpx.HTTPStatusError, match="403"):
        visitor.ask(visitor.place, {visitor.place: [value] if visitor.place.startswith("Pic") else value})


def test_names_of_files_do_not_lead_out(visitor):
    for name in ("../../../evil.png", "/etc/evil.png", "..\\evil.png"):
        path = visitor.upload(name, picture()).json()[0]
        assert ".." not in Path(path).parts
        assert path.startswith(visitor.uploaded("a.png", picture())["path"].rpartition("/")[0][:20])
        assert visitor.get(f"/gradio_api/file={path}").content == picture()


def test_what_is_too_large_is_refused_while_it_arrives(visitor):
    assert visitor.upload("large.png", bytes(11 * 1024**2)).status_code == 413
    join = f"{visitor.address}/gradio_api/queue/join"
    body = {"data": ["x" * 2**21], "fn_index": 0, "session_hash": "a"}
    assert visitor.http.post(join, json=body).status_code == 413


def test_nothing_else_is_open(visitor):
    for path in ("/monitoring", "/monitoring/summary", "/docs"):
        assert visitor.get(path).status_code in (403, 404), path
    assert visitor.config["app_id"]
    assert visitor.config["max_file_size"] == 10 * 1024**2


def test_twenty_visitors_at_once_lose_no_request(address):
    """Four at each demo, all at the same time; everybody gets an answer to what they sent."""
    together, names = threading.Barrier(20), list(PAGES) * 4

    def visit(number):
        with Visitor(f"{address}{names[number]}/") as visitor:
            visitor.name = names[number]
            visitor.place, visitor.refusal = PLACES[visitor.name]
            together.wait(60)
            if visitor.name == "sign_translation":
                label = "From a sentence to clips: the sentence"
                return visitor.ask(label, {label: f"{WORDS[number]} rain"})
            if visitor.name == "report_generation":
                label = "From a text to images: findings"
                return visitor.ask(label, {label: f"no pneumothorax {WORDS[number]}"})
            return sent(visitor, f"mine{number}.png", picture(number))

    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(visit, range(20)))
    assert len(answers) == 20
    for number, (success, output) in enumerate(answers):
        assert success, (names[number], output)
        if names[number] in ("sign_translation", "report_generation"):
            assert WORDS[number] in json.dumps(output)


@pytest.fixture
def page(browser, address):
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(SECONDS)
    page.goto(address)
    page.wait_for_selector("#cards h2")
    yield page
    page.close()


def test_the_keyboard_leads_to_a_demo_and_back(page, address):
    links = page.get_by_role("link", name=re.compile("^Open "))
    assert links.count() == len(PAGES)
    for _ in range(20):
        page.keyboard.press("Tab")
        focused = page.evaluate("document.activeElement.getAttribute('aria-label')")
        if focused == "Open Sign translation":
            break
    assert focused == "Open Sign translation"
    page.keyboard.press("Enter")
    page.wait_for_url("**/sign_translation/")
    page.wait_for_selector("#attention img")
    page.get_by_role("link", name="All demos").click()
    page.wait_for_selector("#cards h2")
    assert page.url == address


def test_checks_are_read_without_leaving(page, address):
    page.get_by_text("What was checked").first.click()
    playwright.expect(page.locator("#cards details[open] li").first).to_be_visible()
    assert page.url == address


@pytest.mark.parametrize("dark", [False, True])
def test_a_phone_shows_the_gallery_in_its_width_and_keeps_the_theme(browser, address, dark):
    page = browser.new_page(viewport={"width": 390, "height": 800})
    page.set_default_timeout(SECONDS)
    page.goto(f"{address}?__theme=dark" if dark else address)
    page.wait_for_selector("#cards h2")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.locator("body.dark").count() == dark
    assert page.locator("#cards img:not([alt])").count() == 0
    if dark:
        page.get_by_role("link", name="Open Schemes").click()
        page.wait_for_selector("#map svg")
        assert "__theme=dark" in page.url
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.close()


def test_the_page_that_waits_is_told_to_everyone(browser):
    go_on = threading.Event()

    def prepare():
        go_on.wait(60)
        with gradio.Blocks() as small:
            gradio.Markdown("It is there.", elem_id="there")
        return small, {"theme": THEME}

    with private_files():
        gallery_page = gallery.build()
        address = serve(gallery_page, port=free_port(), **gallery.serving([Opening("schemes", prepare)]))
        page = browser.new_page(viewport={"width": 390, "height": 800}, color_scheme="dark")
        page.set_default_timeout(SECONDS)
        page.goto(f"{address}schemes/")
        playwright.expect(page.get_by_role("progressbar", name="Progress of the opening")).to_be_visible()
        playwright.expect(page.get_by_role("status")).to_contain_text("Keras is loaded")
        playwright.expect(page.locator("#time")).to_contain_text("so far")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
        assert page.locator("html.dark").count() == 1
        go_on.set()
        page.wait_for_selector("#there")  # it comes by itself
        page.close()
        gallery_page.close(verbose=False)


TYPED = [
    ("face_naming", "Caption: who may be in the photo", ["Use your own"], "Name the faces"),
    ("sign_translation", "From a sentence to clips: the sentence", ["Find"], None),
    ("report_generation", "From a text to images: findings", ["Find"], None),
    ("report_generation", "Indication (may stay empty)", ["Upload"], "Write the report"),
]


@pytest.mark.parametrize(("name", "label", "tabs", "button"), TYPED)
def test_markup_is_text(browser, address, tmp_path, name, label, tabs, button):
    page = browser.new_page()
    page.set_default_timeout(SECONDS)
    page.goto(f"{address}{name}/")
    for tab in tabs:
        page.get_by_role("tab", name=tab).locator("visible=true").click()
    box = page.get_by_label(label).locator("visible=true")
    box.fill(MARKUP)
    if button is None:
        with page.expect_response("**/queue/data*"):
            box.press("Enter")
    else:
        (tmp_path / "<img src=x onerror=alert(1)>.png").write_bytes(picture())
        with page.expect_file_chooser() as chooser:
            page.get_by_role("button", name="Click to upload").locator("visible=true").first.click()
        chooser.value.set_files(tmp_path / "<img src=x onerror=alert(1)>.png")
        page.get_by_text("onerror=alert(1)").locator("visible=true").first.wait_for()
        with page.expect_response("**/queue/data*"):
            page.get_by_role("button", name=button).locator("visible=true").click()
    page.wait_for_timeout(1500)
    assert page.evaluate("window.hit") is None
    assert page.locator("img[src='x']").count() == 0
    page.close()
