import asyncio
import json
import logging
import subprocess
import sys
import threading

import pytest

gradio = pytest.importorskip("gradio")

from PIL import Image  # noqa: E402
from starlette.testclient import TestClient  # noqa: E402

from applications import registry  # noqa: E402
from applications.demo_cache import Progress, cache_name  # noqa: E402
from applications.environment import MissingPackageError  # noqa: E402
from applications.registry import APPLICATIONS, Application  # noqa: E402
from demos import gallery, gallery_cards  # noqa: E402
from demos.gallery_cards import PICTURES, measured, tasks  # noqa: E402
from demos.gallery_server import waiting_page  # noqa: E402
from demos.opening import FAILED, OPEN, OPENING, Opening, Status, with_way_back  # noqa: E402

pytestmark = pytest.mark.once


def result(**changes):
    arms = {"plain": 0.5, "full": 0.75, "another": 0.9}
    checks = [("claim", "full is above plain", True), ("observation", "another is below full", False)]
    return {
        "primary_metric": "accuracy",
        "corpus": "drawn <points>",
        "reference": "plain",
        "arms": {
            arm: {"accuracy": {"values": [mean, mean], "mean": mean, "std": 0.0}}
            for arm, mean in arms.items()
        },
        "baselines": {"chance": {"accuracy": 0.25}, "pixels": {"accuracy": 0.6}, "none": {}},
        "checks": [{"kind": kind, "text": text, "holds": holds} for kind, text, holds in checks],
        **changes,
    }


def kept(tmp_path, *results):
    (tmp_path / "toys").mkdir(exist_ok=True)
    (tmp_path / "toys" / "claim.json").write_text(json.dumps(results))
    return measured("toys", tmp_path)


def test_the_arms_that_a_claim_names_stand_beside_what_needs_no_training(tmp_path):
    found = kept(tmp_path, result())
    assert [row[0] for row in found.rows] == ["full", "plain", "pixels"]
    assert [row[1] for row in found.rows] == ["0.750 ± 0.000", "0.500 ± 0.000", "0.600"]
    assert [row[3] for row in found.rows] == [False, False, True]
    assert found.claims == [True]
    assert len(found.checks) == 2


def test_without_named_arms_the_best_and_the_worst_are_shown(tmp_path):
    checks = [{"kind": "claim", "text": "every loss is good", "holds": False}]
    found = kept(tmp_path, result(checks=checks))
    assert [row[0] for row in found.rows] == ["another", "plain", "pixels"]
    assert found.claims == [False]


def test_what_shows_only_that_it_runs_is_no_result(tmp_path):
    assert kept(tmp_path, result(fast=True)) is None
    assert kept(tmp_path, result(checks=[])) is None
    assert measured("nothing", tmp_path) is None
    (tmp_path / "toys" / "claim.json").write_text('{"another": "file"}')
    assert measured("toys", tmp_path) is None


def row(**changes):
    given = {"task": "toys", "paper": "toy", "model_name": "Toy", "title": "On Toys", "modality": "points"}
    return Application(**{**given, "summary": "Sorts <b>toys</b>.", "state": "ready", **changes})


@pytest.fixture
def toys(monkeypatch, tmp_path):
    rows = (
        row(demo="demos.toys:build"),
        row(paper="second", model_name="Toy2"),
        row(task="games"),
        row(task="plans", state="planned"),
    )
    monkeypatch.setattr(registry, "APPLICATIONS", rows)
    monkeypatch.setattr(gallery_cards, "RESULTS", tmp_path)
    monkeypatch.setattr(measured, "__defaults__", (tmp_path,))
    monkeypatch.setenv("CONTRAST_CACHE", str(tmp_path / "cache"))
    return tmp_path


def test_a_card_for_each_task_that_is_built(toys):
    cards = gallery_cards.cards()
    assert cards.count('<div class="words">') == 2
    assert "Toy, Toy2" in cards
    assert "Sorts &lt;b&gt;toys&lt;/b&gt;." in cards
    assert cards.count("Not measured yet") == 2
    assert cards.count('class="open"') == 1
    assert 'href="./toys/"' in cards
    assert "contrast reproduce games" in cards
    assert [opening.name for opening in gallery.openings()] == ["toys"]


def test_a_card_tells_verdict_numbers_and_checks(toys):
    failing = [
        {"kind": "claim", "text": f"{arm} is best", "holds": arm == "full"} for arm in ("full", "plain")
    ]
    kept(toys, result(checks=failing))
    cards = gallery_cards.cards()
    assert "1 of 2 claims hold" in cards
    assert "drawn &lt;points&gt;" in cards
    assert "0.750 ± 0.000" in cards
    assert "pixels (no training)" in cards
    assert "plain is best" in cards


def test_the_page_tells_what_is_kept_where_and_how_to_delete_it(toys):
    assert "trains at first opening" in gallery_cards.cards()
    folder = toys / "cache"
    folder.mkdir()
    (folder / f"{cache_name('toys', x=1)}.weights.h5").write_bytes(bytes(1_500_000))
    assert "opens in seconds" in gallery_cards.cards()
    line = gallery_cards.cache_line()
    assert f"`{folder}` (1 file, 1.5 MB)" in line
    assert "contrast demo --clear-cache" in line


@pytest.mark.parametrize("task", sorted({row.task for row in APPLICATIONS}))
def test_every_task_has_a_picture_that_is_small(task):
    file = PICTURES / f"{task}.webp"
    with Image.open(file) as picture:
        assert picture.size == (640, 400)
    assert file.stat().st_size < 40_000


def test_results_that_are_committed_are_on_the_cards():
    cards = gallery_cards.cards()
    assert cards.count("<li>") >= len(tasks())
    for rows in tasks():
        found = measured(rows[0].task)
        if found is not None:
            assert all(shown in cards for _, shown, _, _ in found.rows)


def small_page():
    with gradio.Blocks() as page:
        gradio.Markdown("# A demo")
    return page


def client(opening):
    from fastapi import FastAPI

    options = gallery.serving([opening])["app_kwargs"]
    return TestClient(FastAPI(**options), follow_redirects=False)


def waited(visitor, name="toys", state=OPEN):
    for _ in range(600):
        status = visitor.get(f"/{name}/opening").json()
        if status["state"] in (state, FAILED):
            break
        threading.Event().wait(0.05)
    assert status["state"] == state, status
    return status


def test_a_demo_is_opened_by_its_first_visitor_and_tells_how_far_it_is():
    begun, go_on, built = threading.Event(), threading.Event(), []

    def prepare():
        opening._hear(Progress(1, 4, 2, 3, "loss 1.5"))
        begun.set()
        go_on.wait(30)
        built.append(small_page())
        return built[0], {"css": "h1 {}"}

    opening = Opening("toys", prepare)
    with client(opening) as visitor:
        assert visitor.get("/toys").headers["location"] == "toys/"
        assert visitor.get("/toys?__theme=dark").headers["location"] == "toys/?__theme=dark"
        assert visitor.get("/toys/opening").json()["state"] == "not yet"
        assert 'role="status"' in visitor.get("/toys/").text  # the page that waits
        assert begun.wait(30)
        page = visitor.get("/toys/")
        assert 'value="0.250"' in page.text
        assert page.headers["cache-control"] == "no-store"
        status = visitor.get("/toys/opening").json()
        assert (status["state"], status["part"]) == (OPENING, 0.25)
        assert status["text"] == "Training, stage 2 of 3: loss 1.5"
        assert visitor.get("/toys/config").status_code == 503
        go_on.set()
        waited(visitor)
        assert visitor.get("/toys/config").json()["root"].endswith("/toys")
        assert "gradio" in visitor.get("/toys/").text
        assert len(built) == 1
        assert built[0].has_launched  # only then Gradio looks where files come from
    assert opening._holder.done()


def test_what_went_wrong_is_told_and_tried_again(caplog):
    failures = [MissingPackageError("The package <av> is not installed"), RuntimeError("secret path")]

    def prepare():
        if failures:
            raise failures.pop(0)
        return small_page(), {}

    with client(Opening("toys", prepare)) as visitor, caplog.at_level(logging.WARNING, "contrast"):
        visitor.get("/toys/")
        assert "<av>" in waited(visitor, state=FAILED)["text"]
        assert "&lt;av&gt; is not installed" in visitor.get("/toys/").text
        assert visitor.post("/toys/opening").headers["location"] == "./"
        status = waited(visitor, state=FAILED)
        for _ in range(100):
            status = visitor.get("/toys/opening").json()
            if "<av>" not in status["text"] and status["state"] == FAILED:
                break
            threading.Event().wait(0.05)
        assert "terminal says why" in status["text"] and "secret" not in status["text"]
        assert "secret path" in caplog.text
        visitor.post("/toys/opening")
        for _ in range(200):
            if visitor.get("/toys/opening").json()["state"] == OPEN:
                break
            threading.Event().wait(0.05)
        assert visitor.get("/toys/config").status_code == 200


def test_the_page_that_waits_holds_no_markup_of_others():
    opening = Opening("toys", small_page)
    opening._status = Status(FAILED, '<script>alert(1)</script>"')
    page = waiting_page(opening)
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;&quot;" in page


def test_the_way_back_is_first_on_a_page():
    page = with_way_back(small_page())
    first = page.config["layout"]["children"][0]["id"]
    (component,) = [one for one in page.config["components"] if one["id"] == first]
    assert 'href="../"' in component["props"]["value"]


def test_close_ends_nothing_that_was_never_opened():
    opening = Opening("toys", small_page)
    asyncio.run(opening.close())
    assert opening.app is None


@pytest.mark.slow
def test_the_gallery_comes_up_without_keras():
    program = (
        "import sys; from demos.gallery import build_all; build_all();"
        "print(*sorted({'keras', 'tensorflow', 'torch', 'jax', 'contrast'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""
