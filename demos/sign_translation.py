"""The page of sign translation: clips of rendered signing read as sentences, searched and explained."""

import logging
from functools import partial

import gradio as gr

from applications.sign_translation.demo_model import DemoModel, load_or_train
from applications.sign_translation.formats import SignedClip
from applications.sign_translation.meaning import DAYS, INTENSITIES, MOST_DEGREES, PARTS, PHENOMENA, REGIONS
from applications.sign_translation.show import save_video
from applications.sign_translation.videos import SUFFIXES
from demos import sign_translation_answers as answers
from demos import sign_translation_pictures as pictures
from demos.figures import themed
from demos.sign_translation_style import (
    COMPOSED,
    CURVES,
    EXPLAINED,
    FIND,
    INTRODUCTION,
    LAUNCH,
    LOOKED,
    NOTICE,
    OWN_CLIP,
)
from demos.sign_translation_upload import read_clip
from demos.uploads import UploadError, new_folder
from demos.words import as_text

__all__ = ["LAUNCH", "build"]

OFFERED, NEW_PAIRS = 6, 3  # sentences to choose from
TO_FIND = 10
SIGNERS = 20

logger = logging.getLogger("contrast")


def build(model: DemoModel | None = None) -> gr.Blocks:
    """The page; without a model for that of the cache, which is trained first if need be.

    Args:
        model: what visitors find.
    """
    model = model or load_or_train()
    logger.info("\n%s\n", answers.plain(model))
    given = answers.gallery(model)
    with gr.Blocks(title="Sign translation · keras-contrast", delete_cache=(1800, 3600)) as page:
        gr.Markdown(INTRODUCTION, elem_id="introduction")
        gr.Markdown(NOTICE, elem_id="notice")
        with gr.Tab("Translate"):
            _translating(model)
        with gr.Tab("Find"):
            _finding(model, given)
        with gr.Tab("How it learned"):
            _curves(model)
    return page.queue(max_size=64)


# the models serve all visitors, one question at a time
OPTIONS = {"api_visibility": "private", "show_progress": "minimal", "concurrency_id": "sign_translation"}
LAST = {**OPTIONS, "trigger_mode": "always_last"}  # of quick choices the last one counts


def _translating(model: DemoModel) -> None:
    """The tab in which clips are chosen, composed or uploaded, and translated."""
    offered = [*model.held_out[:OFFERED], *model.new_pairs[:NEW_PAIRS]]
    with gr.Row():
        with gr.Column(scale=4, min_width=320):
            with gr.Tab("Choose"):
                chosen = gr.Radio(
                    [(clip.sentence, place) for place, clip in enumerate(offered)],
                    value=0,
                    label="Signed sentences that the model has never seen",
                    info="The last three join a place and a weather that never came together in training.",
                    elem_id="held-out",
                )
            with gr.Tab("Compose"):
                slots, sign = _composing()
            with gr.Tab("Upload"):
                file = gr.File(label="Video of one signed sentence", file_types=list(SUFFIXES), height=120)
                send = gr.Button("Translate the clip", variant="primary")
                gr.DownloadButton(
                    "Download a sample clip (MP4)", _sample(model.held_out[OFFERED % len(model.held_out)])
                )
                gr.Markdown(OWN_CLIP, elem_id="own-help")
        with gr.Column(scale=6, min_width=320):
            first = answers.shown(model, offered[0])
            with gr.Row():
                with gr.Column(scale=1, min_width=180):
                    parts = [gr.HTML(first[0], elem_id="signer")]
                with gr.Column(scale=2, min_width=280):
                    parts.append(gr.HTML(first[1], elem_id="verdict"))
                    parts.append(gr.HTML(first[2], elem_id="alternatives"))
            parts.append(gr.HTML(first[3], elem_id="attention"))
            with gr.Accordion("How to read this", open=False):
                gr.Markdown(EXPLAINED, elem_id="explained")
                gr.Markdown(LOOKED, elem_id="looked")

    def choose(place: int) -> tuple[str, ...]:
        return answers.shown(model, offered[place])

    def compose(number: int, *values) -> tuple[str, ...]:
        record = answers.composed(*values)
        return answers.shown(model, model.world.compose(record, int(number)))

    def upload(path: str | None) -> tuple[str, ...]:
        try:
            return answers.shown_upload(model, read_clip(path, model.model.architecture.frame_shape))
        except UploadError as error:
            words = as_text(str(error))
            gr.Warning(words)
            return "", f'<div class="said"><b>No translation.</b> {words}</div>', "", ""

    chosen.input(choose, chosen, parts, **LAST)
    sign.click(compose, slots, parts, **LAST)
    send.click(upload, file, parts, **OPTIONS)


def _composing() -> tuple[list[gr.components.Component], gr.Button]:
    """What a meaning is composed of, the signer first, and the button."""

    def choice(label, values, value):
        return gr.Dropdown(list(values), value=value, label=label, min_width=130)

    with gr.Row():
        day = choice("Day", DAYS, "friday")
        part = choice("Part of the day", (answers.NOTHING, *PARTS), "night")
    with gr.Row():
        phenomenon = choice("Weather", PHENOMENA, "snow")
        region = choice("Place", REGIONS, "mountains")
    with gr.Row():
        intensity = choice("Intensity", (answers.NOTHING, *INTENSITIES), "heavy")
        degrees = choice("Degrees", (answers.NOTHING, *map(str, range(MOST_DEGREES + 1))), "3")
    negated = gr.Checkbox(False, label="Not expected", info='As in "we expect no snow"')
    number = gr.Slider(1, SIGNERS, value=1, step=1, label="Signer", info=COMPOSED, buttons=[])
    button = gr.Button("Sign and translate", variant="primary", elem_id="sign")
    return [number, day, part, region, phenomenon, intensity, negated, degrees], button


def _sample(clip: SignedClip) -> str:
    """An MP4 of a clip; the page keeps a copy of its own."""
    path = new_folder() / "signed_weather.mp4"
    save_video(clip, path, scale=6)
    return str(path)


def _finding(model: DemoModel, given: answers.Gallery) -> None:
    """The tab in which sentences are found for a clip, and clips for a sentence."""
    count, scores = len(given.clips), model.scores
    gr.Markdown(
        f"{FIND} Among {count} clips that it has never seen, the right sentence comes first for "
        f"**{scores['recall_at_1']:.0%}** and among the first five for **{scores['recall_at_5']:.0%}** "
        f"(chance: {1 / count:.1%} and {5 / count:.1%})."
    )
    with gr.Row():
        with gr.Column(scale=1, min_width=320):
            clip = gr.Dropdown(
                [(given.clips[place].sentence, place) for place in range(min(TO_FIND, count))],
                value=0,
                label="From a clip to sentences: the clip that signs",
                elem_id="clips-of-gallery",
            )
            shown = gr.HTML(_small(given, 0), elem_id="gallery-clip")
            sentences = gr.HTML(answers.find_sentences(given, 0), elem_id="found-sentences")
        with gr.Column(scale=1, min_width=320):
            typed = gr.Textbox(
                "heavy snow in the mountains on friday night",
                label="From a sentence to clips: the sentence",
                max_length=answers.LONGEST_TYPED,
                lines=1,
                submit_btn="Find",
                elem_id="typed",
            )
            clips = gr.HTML(answers.find_clips(model, given, typed.value), elem_id="found-clips")

    def from_clip(place: int) -> tuple[str, str]:
        return _small(given, place), answers.find_sentences(given, place)

    clip.input(from_clip, clip, [shown, sentences], **LAST)
    typed.submit(partial(answers.find_clips, model, given), typed, clips, **LAST)


def _small(given: answers.Gallery, place: int) -> str:
    return f'<div class="signer">{pictures.signer(given.clips[place])}</div>'


def _curves(model: DemoModel) -> None:
    """The tab with the curves of the training, beside what needs no model."""
    scores = model.scores
    lines = {
        "sentences of other clips": scores["shuffled_bleu_4"],
        "meaning known, one wording counts": scores["one_wording_bleu_4"],
    }
    gr.Markdown(CURVES)
    gr.Markdown(
        f"In the end, with beam search on {len(model.held_out)} held-out clips: **BLEU-4 "
        f"{scores['bleu_4']:.1f}**, ROUGE-L {scores['rouge_l']:.1f}. Measured against the sentences of other "
        f"clips the same translations get **{scores['shuffled_bleu_4']:.1f}**: that much is knowing how "
        "forecasts are worded, the rest is watching. Who knows the meaning, but has to guess the one wording "
        f"that counts, gets {scores['one_wording_bleu_4']:.1f}; here all four count."
    )
    with gr.Row():
        themed(
            "BLEU-4 of each epoch",
            lambda dark: pictures.draw_bleu(model.history["val_bleu_4"], model.every, lines, dark),
        )
        themed("Loss of each epoch", lambda dark: pictures.draw_loss(model.history, dark))
