"""The gallery: a card for each task, and the live page of each behind the same server.

Neither Keras nor a framework is loaded before a card is opened.
"""

from collections.abc import Sequence

import gradio as gr

from demos.gallery_cards import cache_line, cards, tasks
from demos.gallery_server import lifespan, routes
from demos.gallery_style import INTRODUCTION, KEEP_THEME, LAUNCH
from demos.opening import Opening, opening_of

__all__ = ["LAUNCH", "build", "build_all", "openings", "serving"]


def build_all() -> tuple[gr.Blocks, dict]:
    """The gallery, and the arguments of `applications.serving.serve` that bring all demos with it."""
    return build(), serving(openings())


def build() -> gr.Blocks:
    """The page with the cards, which tell how things are whenever somebody loads it."""
    with gr.Blocks(title="Gallery · keras-contrast") as page:
        gr.Markdown(INTRODUCTION, elem_id="introduction")
        shown = gr.HTML(cards(), js_on_load=KEEP_THEME, elem_id="cards", padding=False)
        line = gr.Markdown(cache_line(), elem_id="cache")
        page.load(_now, None, [shown, line], show_progress="hidden", queue=False, api_visibility="private")
    return page.queue(max_size=64)


def _now() -> tuple[str, str]:
    return cards(), cache_line()


def openings() -> list[Opening]:
    """An opening for each task of the registry that has a demo."""
    found = [next((row for row in rows if row.demo), None) for rows in tasks()]
    return [opening_of(row) for row in found if row is not None]


def serving(demos: Sequence[Opening]) -> dict:
    """Arguments of `applications.serving.serve` for the gallery with these demos behind it."""
    return {**LAUNCH, "app_kwargs": {"routes": routes(demos), "lifespan": lifespan(demos)}}
