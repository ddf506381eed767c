"""The page of the embedding explorer: maps of held-out digits, and what lies near them."""

import logging

import gradio as gr
import numpy as np

from demos import embedding_explorer_answers as answers
from demos import embedding_explorer_pictures as pictures
from demos.embedding_explorer_model import MAPS, SCORES, SPACES, Explorer, load_or_train
from demos.embedding_explorer_style import COMPARE, INTRODUCTION, LAUNCH, MEANING, OWN, SCORES_HELP
from demos.embedding_explorer_upload import MOST, read_digits
from demos.uploads import UploadError
from demos.words import as_text

__all__ = ["LAUNCH", "build"]

NEAREST, OWN_NEAREST = 10, 8
COLOURS = ["digit", "neighbours agree"]

# the encoder serves all visitors, one question at a time
OPTIONS = {"api_visibility": "private", "show_progress": "hidden", "concurrency_id": "embedding_explorer"}

logger = logging.getLogger("contrast")


def build(explorer: Explorer | None = None) -> gr.Blocks:
    """The page; without an explorer for the one of the cache, which is trained first if need be.

    Args:
        explorer: what visitors find.
    """
    explorer = explorer or load_or_train()
    logger.info("\n%s\n", answers.plain(explorer))
    with gr.Blocks(title="Embedding explorer · keras-contrast", delete_cache=(1800, 3600)) as page:
        gr.Markdown(INTRODUCTION, elem_id="introduction")
        chosen = gr.State(first_place(explorer), time_to_live=7200)
        with gr.Tab("Explore"):
            _exploring(explorer, chosen)
        with gr.Tab("Compare") as comparing:
            _comparing(explorer, chosen, comparing)
        with gr.Tab("Your own"):
            _own(explorer)
        with gr.Tab("What it means"):
            gr.Markdown(MEANING, elem_id="meaning")
    return page.queue(max_size=64)


def first_place(explorer: Explorer) -> int:
    """The digit that the page begins with: one whose neighbours agree least, where there is most to see."""
    return int(np.argmin(answers.agreement(explorer, SPACES[0], _at_most(explorer, NEAREST))))


def explored(explorer: Explorer, place: int, space: str, kind: str, colour: str, k: int) -> tuple[str, ...]:
    """What the first tab shows of a digit: map, legend, picture, sentence and neighbours."""
    found = answers.neighbours(explorer, space, place, k)
    shades = pictures.shades_of(explorer, space, colour, k)
    return (
        pictures.draw_map(explorer, space, kind, shades, place, found),
        pictures.legend(colour),
        pictures.chosen(explorer, place),
        answers.sentence(explorer, space, place, found),
        pictures.strip(explorer, found),
    )


def compared(explorer: Explorer, place: int, kind: str, colour: str, k: int) -> tuple[str, ...]:
    """What the second tab shows of a digit: for each space the map and its nearest."""
    parts = []
    for space in SPACES:
        found = answers.neighbours(explorer, space, place, k)
        shades = pictures.shades_of(explorer, space, colour, k)
        parts.append(pictures.draw_map(explorer, space, kind, shades, place, found))
        parts.append(answers.sentence(explorer, space, place, found))
    return tuple(parts)


def looked_up(explorer: Explorer, paths: list[str] | None, space: str) -> str:
    """What the third tab shows of a visitor's pictures.

    Raises:
        UploadError: if they cannot be read.
    """
    images = read_digits(paths)
    found = answers.nearest_of_own(explorer, space, images, _at_most(explorer, OWN_NEAREST))
    return "".join(
        pictures.own(image, answers.own_sentence(explorer, space, each), pictures.strip(explorer, each))
        for image, each in zip(images, found, strict=True)
    )


def _exploring(explorer: Explorer, chosen: gr.State) -> None:
    k = _at_most(explorer, NEAREST)
    with gr.Row():
        space = gr.Radio(list(SPACES), value=SPACES[0], label="Encoder", elem_id="space", min_width=280)
        kind = gr.Radio(list(MAPS), value=MAPS[0], label="Map", elem_id="kind", min_width=130)
        colour = gr.Radio(COLOURS, value=COLOURS[0], label="Colour", elem_id="colour", min_width=200)
    first = explored(explorer, chosen.value, SPACES[0], MAPS[0], COLOURS[0], k)
    with gr.Row():
        with gr.Column(scale=6, min_width=320):
            parts = [gr.HTML(first[0], js_on_load=pictures.PICK, elem_id="map"), gr.HTML(first[1])]
        with gr.Column(scale=5, min_width=320):
            with gr.Row():
                parts.append(gr.HTML(first[2], elem_id="picture", min_width=120, scale=0))
                with gr.Column(min_width=180):
                    parts.append(gr.Markdown(first[3], elem_id="sentence"))
                    another = gr.Button("Another digit", size="sm", elem_id="another")
            nearest = gr.Slider(
                1,
                _at_most(explorer, answers.MOST_NEIGHBOURS),
                value=k,
                step=1,
                label="Nearest neighbours",
                info="Under each: its label and its distance. Click on one to look at it.",
                elem_id="k",
            )
            parts.append(gr.HTML(first[4], js_on_load=pictures.PICK, elem_id="neighbours"))
    settings = [space, kind, colour, nearest]

    def pick(place, *values, event: gr.EventData):
        picked = answers.checked_place(explorer, event._data.get("place"))
        place = place if picked is None else picked
        return place, *explored(explorer, place, *values)

    def at_random(*values):
        place = int(np.random.default_rng().integers(len(explorer.digits.labels)))
        return place, *explored(explorer, place, *values)

    for source in (parts[0], parts[4]):
        source.select(pick, [chosen, *settings], [chosen, *parts], **OPTIONS)
    another.click(at_random, settings, [chosen, *parts], **OPTIONS)
    for setting in settings:
        setting.change(
            lambda place, *values: explored(explorer, place, *values),
            [chosen, *settings],
            parts,
            trigger_mode="always_last",
            **OPTIONS,
        )


def _comparing(explorer: Explorer, chosen: gr.State, tab: gr.Tab) -> None:
    k = _at_most(explorer, NEAREST)
    gr.Markdown(COMPARE, elem_id="compare-help")
    with gr.Row():
        kind = gr.Radio(list(MAPS), value=MAPS[0], label="Map", min_width=130)
        colour = gr.Radio(COLOURS, value=COLOURS[0], label="Colour", min_width=200)
    parts = []
    first = compared(explorer, chosen.value, MAPS[0], COLOURS[0], k)
    with gr.Row(elem_id="compare-maps"):
        for number, space in enumerate(SPACES):
            with gr.Column(min_width=300):
                gr.Markdown(f"### {space}")
                parts.append(gr.HTML(first[2 * number], js_on_load=pictures.PICK))
                parts.append(gr.Markdown(first[2 * number + 1]))
    gr.Dataframe(
        answers.comparison(explorer),
        headers=["encoder", *SCORES],
        interactive=False,
        elem_id="scores",
        wrap=True,
    )
    gr.Markdown(SCORES_HELP, elem_id="scores-help")

    def pick(place, *values, event: gr.EventData):
        picked = answers.checked_place(explorer, event._data.get("place"))
        place = place if picked is None else picked
        return place, *compared(explorer, place, *values, k)

    for source in parts[::2]:
        source.select(pick, [chosen, kind, colour], [chosen, *parts], **OPTIONS)
    for event in (kind.change, colour.change, tab.select):
        event(
            lambda place, *values: compared(explorer, place, *values, k),
            [chosen, kind, colour],
            parts,
            **OPTIONS,
        )


def _own(explorer: Explorer) -> None:
    with gr.Row():
        with gr.Column(scale=4, min_width=320):
            files = gr.File(
                label=f"Pictures of digits, at most {MOST}",
                file_count="multiple",
                file_types=[".png", ".jpg", ".jpeg", ".webp"],
                height=140,
            )
            space = gr.Radio(list(SPACES), value=SPACES[0], label="Encoder")
            find = gr.Button("Find the nearest digits", variant="primary", elem_id="find")
            gr.Markdown(OWN, elem_id="own-help")
        with gr.Column(scale=6, min_width=320):
            result = gr.HTML(elem_id="own")

    def look_up(paths, chosen_space):
        try:
            return looked_up(explorer, paths, chosen_space)
        except UploadError as error:
            words = as_text(str(error))
            gr.Warning(words)
            return f"<p><b>No result.</b> {words}</p>"

    find.click(look_up, [files, space], result, **OPTIONS)


def _at_most(explorer: Explorer, k: int) -> int:
    return min(k, len(explorer.digits.labels) - 1)
