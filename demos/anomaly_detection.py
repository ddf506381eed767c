"""The page of anomaly detection: odd pictures found by a detector that has seen normal ones only."""

import html
import logging
from collections.abc import Iterator

import gradio as gr
import numpy as np

from applications.anomaly_detection.demo_corpora import BUILT_IN, built_in
from applications.anomaly_detection.demo_model import STEPS, DemoModel, load_or_train
from applications.environment import MissingPackageError
from demos import anomaly_detection_answers as answers
from demos import anomaly_detection_pictures as pictures
from demos.anomaly_detection_style import (
    A_SURFACE,
    CHOICE,
    INTRODUCTION,
    LAUNCH,
    MEANING,
    NOTICE,
    OWN_PICTURE,
    THING,
    ZIP,
)
from demos.anomaly_detection_training import Progress, Stops, train_watched
from demos.anomaly_detection_upload import read_test_picture, read_zip
from demos.uploads import UploadError

__all__ = ["LAUNCH", "build"]

RATE = 0.05
IN_GALLERY = 24

logger = logging.getLogger("contrast")


def build(model: DemoModel | None = None, steps: int = STEPS) -> gr.Blocks:
    """The page; without a model for the one of the cache, which is trained first if need be.

    Args:
        model: what visitors find before they train a detector of their own.
        steps: of a visitor's training, about.
    """
    model = model or load_or_train()
    logger.info("\n%s\n", answers.plain(answers.normal(model)))
    with gr.Blocks(title="Anomaly detection · keras-contrast", delete_cache=(1800, 3600)) as page:
        gr.Markdown(INTRODUCTION, elem_id="introduction")
        gr.Markdown(NOTICE, elem_id="notice")
        own = gr.State(None, time_to_live=7200)  # a visitor's own DemoModel, once there is one
        first = answers.offered(model.corpus, IN_GALLERY)[0]
        chosen = gr.State(answers.of_test(model, first), time_to_live=7200)
        with gr.Tabs(selected="test") as tabs:
            with gr.Tab("Test", id="test"):
                parts = _testing(model, own, chosen)
            with gr.Tab("Train", id="train"):
                _training(page, own, chosen, tabs, parts, steps)
            with gr.Tab("What it means", id="meaning"):
                gr.Markdown(MEANING, elem_id="meaning")
    return page.queue(max_size=64)


def _testing(model: DemoModel, own: gr.State, chosen: gr.State) -> list[gr.components.Component]:
    """The tab in which pictures are chosen or uploaded; returns what another detector changes in it."""
    normal = gr.Markdown(answers.normal(model), elem_id="normal")
    with gr.Row():
        with gr.Column(scale=4, min_width=320):
            with gr.Tab("Choose a picture"):
                gr.Markdown("Never seen in training: normal ones first, then odd ones")
                gallery = gr.Gallery(
                    _gallery(model),
                    label="Test pictures",
                    show_label=False,
                    columns=6,
                    allow_preview=False,
                    selected_index=0,
                    format="png",
                    interactive=False,
                    buttons=[],
                    elem_id="gallery",
                )
            with gr.Tab("Use your own"):
                file = gr.File(label="Picture", file_types=[".png", ".jpg", ".jpeg", ".webp"], height=120)
                send = gr.Button("Score the picture", variant="primary")
                gr.Markdown(OWN_PICTURE, elem_id="own-help")
            rate = gr.Slider(
                0.01,
                0.3,
                value=RATE,
                step=0.01,
                label="False alarm rate",
                info="The share of held-out normal pictures that may be called odd; it sets the threshold.",
            )
            effect = gr.Markdown(answers.effect(model, RATE), elem_id="effect")
        with gr.Column(scale=6, min_width=320):
            results = _result_parts(model, chosen.value)

    def choose(share: float, mine: DemoModel | None, event: gr.SelectData) -> tuple:
        current = mine or model
        index = answers.offered(current.corpus, IN_GALLERY)[event.index]
        seen = answers.of_test(current, index)
        return seen, *_result(current, seen, share)

    def upload(path: str | None, share: float, mine: DemoModel | None) -> tuple:
        current = mine or model
        try:
            picture, remark = read_test_picture(path, current.corpus)
        except UploadError as error:
            gr.Warning(html.escape(str(error)))
            return None, *_no_result(f"**No result.** {error}")
        if remark:
            gr.Warning(remark)
        seen = answers.of_upload(current, picture)
        return seen, *_result(current, seen, share)

    def move(share: float, mine: DemoModel | None, seen: answers.Seen | None) -> tuple:
        current = mine or model
        sentence = answers.effect(current, share)
        if seen is None:
            return sentence, *[gr.skip()] * len(results)
        return sentence, *_result(current, seen, share)

    # the first detector serves all visitors, one picture at a time
    options = {"api_visibility": "private", "show_progress": "minimal", "concurrency_id": "scoring"}
    gallery.select(choose, [rate, own], [chosen, *results], **options)
    send.click(upload, [file, rate, own], [chosen, *results], **options)
    rate.change(move, [rate, own, chosen], [effect, *results], trigger_mode="always_last", **options)
    return [normal, gallery, rate, effect, *results]


def _result_parts(model: DemoModel, seen: answers.Seen) -> list[gr.components.Component]:
    """The components of a result, in the order of `_result`."""
    verdict, picture, scores, nearest = _result(model, seen, RATE)
    parts = [gr.Markdown(verdict, elem_id="verdict", latex_delimiters=[])]
    with gr.Row():
        with gr.Column(scale=2, min_width=200):
            parts.append(
                gr.Image(
                    picture,
                    label="The picture",
                    show_label=False,
                    interactive=False,
                    format="png",
                    buttons=[],
                    elem_id="picture",
                )
            )
        with gr.Column(scale=3, min_width=300):
            parts.append(gr.HTML(scores, elem_id="scores"))
    gr.Markdown("Compared with: the nearest normal pictures, and how near they are (cosine)")
    parts.append(
        gr.Gallery(
            nearest,
            label="The nearest normal pictures",
            show_label=False,
            columns=4,
            allow_preview=False,
            format="png",
            interactive=False,
            buttons=[],
            elem_id="nearest",
        )
    )
    return parts


def _result(model: DemoModel, seen: answers.Seen, rate: float) -> tuple:
    """What is shown of a picture: verdict, picture or heat map, histogram, nearest normal pictures."""
    threshold = model.threshold(rate)
    if seen.heat is None:
        drawn = pictures.shown(seen.picture[None], 320)[0]
    else:
        drawn = pictures.draw_heat(seen.picture, seen.heat, threshold)
    nearest = [
        (image, f"{similarity:.3f}")
        for image, similarity in zip(
            pictures.shown(model.corpus.train[seen.nearest]), seen.similarities, strict=True
        )
    ]
    if seen.heat is not None:
        nearest = [(pictures.shown(seen.place[None])[0], "oddest place"), *nearest[:3]]
    scores = pictures.histogram(model.held_out, threshold, seen.score)
    return answers.verdict(seen, threshold), drawn, scores, nearest


def _no_result(sentence: str) -> tuple:
    return sentence, None, "", None


def _gallery(model: DemoModel) -> list[np.ndarray]:
    return pictures.shown(model.corpus.tests[answers.offered(model.corpus, IN_GALLERY)], 96)


def _training(page, own, chosen, tabs, parts, steps) -> None:
    """The tab in which a visitor trains a detector on other pictures."""
    stops = Stops()
    gr.Markdown(CHOICE, elem_id="choice")
    with gr.Row():
        with gr.Column(scale=4, min_width=320):
            with gr.Tab("Choose a corpus", id="corpus") as from_corpus:
                name = gr.Dropdown(
                    list(BUILT_IN),
                    value=BUILT_IN[-3],
                    label="What is normal",
                    info="Faces against background, a digit against the others; "
                    "surfaces with small defects, which are hard for it",
                )
            with gr.Tab("Use your own", id="zip") as from_zip:
                file = gr.File(label="Zip of normal pictures", file_types=[".zip"], height=120)
                kind = gr.Radio([THING, A_SURFACE], value=THING, label="Each picture shows")
                gr.Markdown(ZIP, elem_id="zip-help")
            with gr.Row():
                start = gr.Button("Train", variant="primary", elem_id="start", min_width=120)
                stop = gr.Button("Stop", interactive=False, elem_id="stop", min_width=120)
        with gr.Column(scale=6, min_width=320):
            status = gr.HTML(pictures.progress(None, "Not started."), elem_id="status")
    source = gr.State("corpus")
    from_corpus.select(lambda: "corpus", None, source, api_visibility="private", queue=False)
    from_zip.select(lambda: "zip", None, source, api_visibility="private", queue=False)
    outputs = [status, start, stop, own, chosen, tabs, *parts]

    def train(origin: str, corpus: str, path: str | None, shows: str, request: gr.Request) -> Iterator[tuple]:
        def told(sentence, state=None, running=False, rest=None):
            rest = rest or (gr.skip(),) * (len(outputs) - 3)
            buttons = gr.Button(interactive=not running), gr.Button(interactive=running)
            return pictures.progress(state, sentence), *buttons, *rest

        stopping = stops.new(request.session_hash)
        try:
            pictures_of_visitor = read_zip(path, shows == A_SURFACE) if origin == "zip" else built_in(corpus)
        except (UploadError, MissingPackageError) as error:
            gr.Warning(html.escape(str(error)))
            yield told(f"<b>Not trained.</b> {html.escape(str(error))}")
            return
        yield told(answers.starting(pictures_of_visitor), running=True)
        for state in train_watched(pictures_of_visitor, stopping, steps):
            if isinstance(state, Progress):
                yield told(answers.training(state), state, running=True)
            elif state is None:
                yield told("<b>Stopped.</b> The detector of before stays.")
            else:
                yield told(answers.trained(state), rest=_changed(state))

    # one training at a time: others wait for it, and go on testing meanwhile
    start.click(
        train,
        [source, name, file, kind],
        outputs,
        api_visibility="private",
        show_progress="hidden",
        concurrency_limit=1,
        concurrency_id="training",
    )

    def stop_mine(request: gr.Request) -> None:
        stops.stop(request.session_hash)

    stop.click(stop_mine, None, None, api_visibility="private", queue=False)
    page.unload(stop_mine)


def _changed(model: DemoModel) -> tuple:
    """What a new detector changes: itself, the picture that is looked at, the tab, and its parts."""
    index = answers.offered(model.corpus, IN_GALLERY)[0]
    seen = answers.of_test(model, index)
    return (
        model,
        seen,
        gr.Tabs(selected="test"),
        answers.normal(model),
        gr.Gallery(_gallery(model), selected_index=0),
        RATE,
        answers.effect(model, RATE),
        *_result(model, seen, RATE),
    )
