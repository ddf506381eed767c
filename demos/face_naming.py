"""The page of face naming: names for the faces of photos, from a model that was never told who is who."""

import logging
from collections.abc import Mapping, Sequence

import gradio as gr

from applications.face_naming.corpus import DIGIT_NAMES
from applications.face_naming.demo_model import load_or_train
from applications.face_naming.evaluation import bounds, score
from applications.face_naming.formats import NONAME, CaptionedPhoto, NamedPhoto
from applications.face_naming.secla import SECLA
from demos import face_naming_answers as answers
from demos import face_naming_pictures as pictures
from demos.face_naming_real import real_photos
from demos.face_naming_style import CURVES, HOW_TO, INTRODUCTION, LAUNCH, NOTICE
from demos.face_naming_upload import LONGEST_CAPTION, name_photo, name_upload
from demos.figures import themed
from demos.uploads import UploadError
from demos.words import as_text

__all__ = ["LAUNCH", "build"]

IN_GALLERY = 20
IN_TERMINAL = 10
PALETTE = pictures.colours(DIGIT_NAMES)

logger = logging.getLogger("contrast")


def build(
    model: SECLA | None = None,
    held_out: Sequence[CaptionedPhoto] | None = None,
    history: Mapping[str, Sequence[float]] | None = None,
) -> gr.Blocks:
    """The page; without arguments for the model of the cache, which is trained first if need be.

    Args:
        model: names digit crops of `(28, 28, 1)`, by spelled names.
        held_out: photos of the digit world with truth, image and boxes.
        history: per epoch `loss`, `face_accuracy` and `val_face_accuracy`.

    Raises:
        ValueError: if only some of the arguments are given.
    """
    missing = [argument is None for argument in (model, held_out, history)]
    if all(missing):
        trained = load_or_train()
        model, held_out, history = trained.model, trained.held_out, trained.history
    elif any(missing):
        raise ValueError("model, held_out and history must be given together, or none of them.")
    named = model.name_faces(held_out)
    _report(held_out, named)
    name_photo(model, held_out[0])  # compiled before the first user waits for it
    with gr.Blocks(title="Face naming · keras-contrast", delete_cache=(1800, 3600)) as page:
        gr.Markdown(INTRODUCTION, elem_id="introduction")
        gr.Markdown(NOTICE, elem_id="notice")
        with gr.Tab("Digits"):
            _naming(model, held_out, named)
        with gr.Tab("Real photos"):
            real_photos()
        with gr.Tab("How it learned"):
            _curves(history, bounds(held_out))
    return page.queue(max_size=64)


def _report(held_out: Sequence[CaptionedPhoto], named: Sequence[NamedPhoto]) -> None:
    """Tells the terminal how well held-out photos are named."""
    accuracy, trivial = score(held_out, named), bounds(held_out)
    logger.info("\nPhotos that the model has never seen:\n")
    logger.info("%s\n", answers.terminal_table(held_out[:IN_TERMINAL], named[:IN_TERMINAL]))
    logger.info(
        "Right: %.1f %% of the %d faces in %d held-out photos (chance: %.1f %%, naming nobody: %.1f %%).\n",
        100 * accuracy["face_accuracy"],
        accuracy["faces"],
        len(held_out),
        100 * trivial["chance"]["face_accuracy"],
        100 * trivial["all_noname"]["face_accuracy"],
    )


def _naming(model: SECLA, held_out: Sequence[CaptionedPhoto], named: Sequence[NamedPhoto]) -> None:
    """The tab in which photos are chosen or uploaded and named."""
    ends = answers.threshold_range(named)
    offered = _offered(held_out)
    first = (held_out[offered[0]], named[offered[0]])
    shown = gr.State(first, time_to_live=7200)  # a copy for each visitor
    with gr.Row():
        with gr.Column(scale=4, min_width=320):
            with gr.Tab("Choose a photo"):
                gr.Markdown(f"{len(offered)} of {len(held_out)} photos that the model has never seen")
                gallery = gr.Gallery(
                    [held_out[index].image for index in offered],
                    label="Held-out photos",
                    show_label=False,
                    columns=4,
                    allow_preview=False,
                    selected_index=0,
                    format="png",
                    interactive=False,
                    buttons=[],
                    elem_id="gallery",
                )
            with gr.Tab("Use your own"):
                file = gr.File(
                    label="Photo of handwritten digits",
                    file_types=[".png", ".jpg", ".jpeg", ".webp"],
                    height=120,
                )
                caption = gr.Textbox(
                    label="Caption: who may be in the photo",
                    placeholder="Two and Seven arrive for the meeting in Porto.",
                    max_length=LONGEST_CAPTION,
                    lines=1,
                )
                send = gr.Button("Name the faces", variant="primary")
                gr.Markdown(HOW_TO, elem_id="how-to")
            threshold = gr.Slider(
                *ends,
                value=ends[0],
                step=0.1,
                label="Rejection threshold",
                info='A face whose best score is not above it gets "no name". Left end: rejects none; '
                "right end: all.",
                elem_id="threshold",
                buttons=[],
            )
            effect = gr.Markdown(answers.effect(held_out, named, None), elem_id="effect")
        with gr.Column(scale=6, min_width=320):
            outputs = _result_parts(_shown_caption(first[0]), _result(*first, None))

    def choose(position: float, event: gr.SelectData) -> tuple:
        index = offered[event.index]
        chosen = (held_out[index], named[index])
        limit = answers.threshold_at(position, ends)
        return chosen, _shown_caption(chosen[0]), *_result(*chosen, limit)

    def upload(path: str | None, text: str, position: float) -> tuple:
        try:
            photo, answer, remark = name_upload(model, path, text)
        except UploadError as error:
            gr.Warning(as_text(str(error)))
            return None, [], None, None, f"**No result.** {error}", ""
        if remark:
            gr.Warning(remark)
        limit = answers.threshold_at(position, ends)
        return (photo, answer), _shown_caption(photo), *_result(photo, answer, limit)

    def move(position: float, current: tuple | None) -> tuple:
        limit = answers.threshold_at(position, ends)
        sentence = answers.effect(held_out, named, limit)
        if current is None:
            return sentence, *[gr.skip()] * 4
        return sentence, *_result(*current, limit)

    options = {"api_visibility": "private", "show_progress": "minimal"}
    gallery.select(choose, threshold, [shown, *outputs], **options)
    # the model is asked one question at a time
    sent = [send.click, caption.submit]
    gr.on(sent, upload, [file, caption, threshold], [shown, *outputs], concurrency_limit=1, **options)
    moved = [effect, *outputs[1:]]
    threshold.change(move, [threshold, shown], moved, trigger_mode="always_last", **options)


def _offered(held_out: Sequence[CaptionedPhoto]) -> list[int]:
    """Positions of the photos to choose from: the first ones with a choice of names, half with several faces.

    Photos without a stranger come first among those with several faces.
    """
    several, single = [], []
    for index, photo in enumerate(held_out):
        if photo.truth and len(photo.names) > 1:
            (several if len(photo.truth) > 1 else single).append(index)
    several = several[: IN_GALLERY // 2]
    several.sort(key=lambda index: NONAME in held_out[index].truth)
    return (several + single)[:IN_GALLERY] or [0]


def _result_parts(caption: list, values: tuple) -> list[gr.components.Component]:
    """The components of a result, in the order of `_shown_caption` and `_result`."""
    picture, scores, verdict, table = values
    image = {"show_label": False, "interactive": False, "format": "png"}
    parts = [
        gr.HighlightedText(
            caption,
            label="Caption, with the names that the model knows",
            color_map=PALETTE,
            show_inline_category=False,
            interactive=False,
            elem_id="caption",
        )
    ]
    with gr.Row():
        with gr.Column(min_width=280):
            gr.Markdown("Named faces")
            parts.append(
                gr.Image(picture, label="Named faces", elem_id="picture", buttons=[], **image),
            )
        with gr.Column(min_width=280):
            gr.Markdown("Scores: how well each face fits each name")
            parts.append(
                gr.Image(
                    scores,
                    label="Scores of faces and names",
                    image_mode="RGBA",
                    elem_id="scores",
                    buttons=["fullscreen"],
                    **image,
                )
            )
    parts.append(gr.Markdown(verdict, elem_id="verdict"))
    parts.append(gr.Markdown(table, elem_id="table"))
    return parts


def _shown_caption(photo: CaptionedPhoto) -> list:
    return answers.caption_parts(photo.caption, DIGIT_NAMES)


def _result(photo: CaptionedPhoto, answer: NamedPhoto, threshold: float | None) -> tuple:
    """What is shown of a photo under a threshold: picture, scores, verdict and table."""
    decided = answers.decide(answer, threshold)
    return (
        pictures.draw_photo(photo, decided.names, PALETTE),
        pictures.draw_scores(photo, decided, PALETTE),
        answers.verdict(photo, decided),
        answers.answer_table(photo, decided),
    )


def _curves(history: Mapping[str, Sequence[float]], trivial: Mapping[str, Mapping[str, float]]) -> None:
    """The tab with the curves of the training, drawn for light and for dark pages."""
    lines = {
        "chance": trivial["chance"]["face_accuracy"],
        'all "no name"': trivial["all_noname"]["face_accuracy"],
    }
    gr.Markdown(CURVES)
    with gr.Row():
        themed("Face accuracy of each epoch", lambda dark: pictures.draw_accuracy(history, lines, dark))
        themed("Loss of each epoch", lambda dark: pictures.draw_loss(history, dark))
