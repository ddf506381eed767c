"""The page of report generation: drafts of reports on drawn chests, with any part of a study left out."""

import logging
from functools import partial

import gradio as gr
from PIL import Image

from applications.report_generation.demo_model import DemoModel, load_or_train
from applications.report_generation.image_files import SUFFIXES
from applications.report_generation.study import PARTS, UNKNOWN_VIEW, VIEW_POSITIONS, Study
from demos import report_generation_answers as answers
from demos import report_generation_pictures as pictures
from demos import report_generation_search as search
from demos.figures import themed
from demos.report_generation_style import (
    CURVES,
    FIND,
    INTRODUCTION,
    JUDGED,
    LAUNCH,
    LOOKED,
    NOTICE,
    OWN_IMAGES,
    TABLE,
)
from demos.report_generation_upload import LONGEST_TEXT, MOST_VIEWS, read_study
from demos.uploads import UploadError, new_folder
from demos.words import as_text

__all__ = ["LAUNCH", "build"]

OFFERED = 14  # studies to choose from
PLACES, BEFORE = ("Main view", "Second view", "Third view")[:MOST_VIEWS], "Prior image"
POSITIONS = [
    (pictures.NAMES.get(position, "position unknown"), position)
    for position in (*VIEW_POSITIONS[1:], UNKNOWN_VIEW)
]

logger = logging.getLogger("contrast")


def build(model: DemoModel | None = None) -> gr.Blocks:
    """The page; without a model for that of the cache, which is trained first if need be.

    Args:
        model: what visitors find.
    """
    model = model or load_or_train()
    logger.info("\n%s\n", answers.plain(model))
    searched = search.gallery(model)
    with gr.Blocks(title="Report generation · keras-contrast", delete_cache=(1800, 3600)) as page:
        gr.Markdown(NOTICE, elem_id="notice")
        gr.Markdown(INTRODUCTION, elem_id="introduction")
        with gr.Tab("Write"):
            _writing(model)
        with gr.Tab("Upload"):
            _uploading(model)
        with gr.Tab("Find"):
            _finding(model, searched)
        with gr.Tab("Training"):
            _learning(model)
    return page.queue(max_size=64)


# the models serve all visitors, one question at a time
OPTIONS = {"api_visibility": "private", "show_progress": "minimal", "concurrency_id": "report_generation"}
LAST = {**OPTIONS, "trigger_mode": "always_last"}  # of quick choices the last one counts


def _writing(model: DemoModel) -> None:
    """The tab in which held-out studies are reported, with parts left out."""
    reports = answers.Reports(model)
    offered = answers.offered(model.held_out, OFFERED)
    first = answers.shown(reports, offered[0], ())
    with gr.Row():
        with gr.Column(scale=5, min_width=320):
            chosen = gr.Dropdown(
                [(answers.title(model.held_out[place]), place) for place in offered],
                value=offered[0],
                label="Studies of patients that the model has never seen",
                elem_id="held-out",
            )
            missing = gr.CheckboxGroup(
                [(answers.PART_NAMES[part].capitalize(), part) for part in PARTS],
                value=[],
                label="Leave out",
                info="What the study lacks anyway changes nothing.",
                elem_id="missing",
            )
            parts = [gr.HTML(first[0], elem_id="given")]
        with gr.Column(scale=6, min_width=320):
            parts.append(gr.HTML(first[1], elem_id="report"))
            with gr.Accordion("Other reports that beam search kept", open=False):
                parts.append(gr.HTML(first[2], elem_id="alternatives"))
                gr.Markdown(JUDGED, elem_id="judged")
    gr.Markdown("### Where each sentence looked")
    parts.append(gr.HTML(first[3], elem_id="looks"))
    gr.Markdown(LOOKED, elem_id="looked-help")

    def show(place: int, left_out: list[str]) -> tuple[str, ...]:
        return answers.shown(reports, place, left_out)

    chosen.input(show, [chosen, missing], parts, **LAST)
    missing.input(show, [chosen, missing], parts, **LAST)


def _uploading(model: DemoModel) -> None:
    """The tab for a visitor's own study."""
    size = model.model.image_encoder.image_size
    with gr.Row():
        with gr.Column(scale=5, min_width=320):
            gr.Markdown(OWN_IMAGES, elem_id="own-help")
            gr.DownloadButton("Download a sample view (PNG)", _sample(model.held_out[-1]), size="sm")
            files = []
            for names in ((*PLACES, BEFORE)[:2], (*PLACES, BEFORE)[2:]):
                with gr.Row():
                    for name in names:
                        files += _image(name, "LATERAL" if name == PLACES[1] else "PA")
            report = _words("Previous report", "small left pleural effusion. no pneumothorax.")
            indication = _words("Indication", "fever and cough", lines=1)
            send = gr.Button("Write the report", variant="primary", elem_id="send")
        with gr.Column(scale=6, min_width=320):
            parts = [
                gr.HTML("", elem_id="own-given"),
                gr.HTML("", elem_id="own-report"),
                gr.HTML("", elem_id="own-alternatives"),
                gr.HTML("", elem_id="own-looks"),
            ]

    def upload(*values) -> tuple[str, ...]:
        *images, report, indication = values
        pairs = list(zip(images[::2], images[1::2], strict=True))
        try:
            study = read_study(pairs[:-1], pairs[-1], report, indication, size)
            return answers.shown_upload(model, study)
        except UploadError as error:
            words = as_text(str(error))
            gr.Warning(words)
            return "", f'<div class="report"><b>No report.</b> {words}</div>', "", ""

    send.click(upload, [*files, report, indication], parts, **OPTIONS)


def _image(name: str, position: str) -> list[gr.components.Component]:
    """A place for a file, and the position of its view."""
    with gr.Column(min_width=150):
        return [
            gr.File(label=name, file_types=list(SUFFIXES), height=130),
            gr.Dropdown(POSITIONS, value=position, label=f"{name}: position", show_label=False),
        ]


def _words(name: str, example: str, lines: int = 2) -> gr.Textbox:
    return gr.Textbox(
        label=f"{name} (may stay empty)", placeholder=example, lines=lines, max_length=LONGEST_TEXT
    )


def _sample(study: Study) -> str:
    """A PNG of a view; the page keeps a copy of its own."""
    path = new_folder() / "drawn_chest.png"
    Image.fromarray(study.views[0].image).save(path)
    return str(path)


def _finding(model: DemoModel, searched: search.Gallery) -> None:
    """The tab in which reports are found for images, and images for a text."""
    count = len(searched.studies)
    gr.Markdown(
        f"{FIND} Among {count} studies that it has never seen, the right report comes first for "
        f"**{model.recall['recall_at_1']:.0%}** and among the first five for "
        f"**{model.recall['recall_at_5']:.0%}** (chance: {1 / count:.1%} and {5 / count:.1%})."
    )
    offered = answers.offered(model.held_out, OFFERED)
    with gr.Row():
        with gr.Column(scale=1, min_width=320):
            study = gr.Dropdown(
                [(answers.title(model.held_out[place]), place) for place in offered],
                value=offered[0],
                label="From images to reports: the study",
                elem_id="searched-study",
            )
            shown = gr.HTML(answers.given(model.held_out[offered[0]], ()), elem_id="searched-images")
            found = gr.HTML(search.find_reports(searched, offered[0]), elem_id="found-reports")
        with gr.Column(scale=1, min_width=320):
            typed = gr.Textbox(
                "lungs are clear. large left pleural effusion. no pneumothorax. normal heart size.",
                label="From a text to images: findings",
                max_length=search.LONGEST_TYPED,
                lines=1,
                submit_btn="Find",
                elem_id="typed",
            )
            images = gr.HTML(search.find_images(model, searched, typed.value), elem_id="found-images")

    def from_study(place: int) -> tuple[str, str]:
        return answers.given(model.held_out[place], ()), search.find_reports(searched, place)

    study.input(from_study, study, [shown, found], **LAST)
    typed.submit(partial(search.find_images, model, searched), typed, images, **OPTIONS)


def _learning(model: DemoModel) -> None:
    """The tab with the curves of the training, and the scores beside what needs no model."""
    lines = {name: scores["ce_f1"] for name, scores in list(model.baselines.items())[:2]}
    gr.Markdown(CURVES)
    with gr.Row():
        themed(
            "Clinical F1 of each epoch",
            lambda dark: pictures.draw_f1(model.history["val_ce_f1"], model.every, lines, dark),
        )
        themed("Loss of each epoch", lambda dark: pictures.draw_loss(model.history, dark))
    gr.HTML(answers.score_table(model), elem_id="scores")
    gr.Markdown(TABLE)
