"""Reports found by images, and images by words: what the page of report generation shows of stage 1."""

from __future__ import annotations

import functools
import html
import re
from dataclasses import dataclass

import numpy as np

from applications.report_generation.demo_model import DemoModel
from applications.report_generation.facts import facts_from_report
from applications.report_generation.retrieval import Embeddings, embed_facts, embed_studies
from applications.report_generation.study import Study
from applications.report_generation.text import SPECIALS, ReportTokenizer
from demos import report_generation_pictures as pictures
from demos.tables import ranked
from demos.words import listed

FOUND, FOUND_IMAGES = 5, 6
LONGEST_TYPED = 200  # characters


@dataclass(frozen=True, eq=False)
class Gallery:
    """Held-out studies that are searched: unit vectors `(studies, dim)` of their images and facts."""

    studies: list[Study]
    vectors: Embeddings


def gallery(model: DemoModel) -> Gallery:
    """The held-out studies, ready to be searched."""
    found = embed_studies(model.first, model.held_out, model.features, model.model.tokenizer)
    return Gallery(model.held_out, Embeddings(*map(_unit, found)))


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


@functools.lru_cache(maxsize=4)
def vocabulary(tokenizer: ReportTokenizer) -> tuple[str, ...]:
    """The words that a tokenizer of words knows."""
    return tuple(
        sorted(
            word for word in tokenizer.decode([[one] for one in range(len(SPECIALS), tokenizer.size)]) if word
        )
    )


def find_reports(searched: Gallery, place: int) -> str:
    """HTML table of the reports that are most like the images of a study; its own one is marked."""
    similarities = searched.vectors.texts @ searched.vectors.images[place]
    own = [study.facts == searched.studies[place].facts for study in searched.studies]
    return ranked(similarities, [study.findings for study in searched.studies], own, FOUND, "report")


def find_images(model: DemoModel, searched: Gallery, typed: str) -> str:
    """HTML of the studies whose images are most like a text, and which of its words are not known."""
    typed = (typed or "")[:LONGEST_TYPED]
    tokenizer = model.model.tokenizer
    words, known = split_words(typed), set(vocabulary(tokenizer))
    strange = [word for word in words if word not in known]
    facts = [" ".join(word for word in fact.split() if word in known) for fact in facts_from_report(typed)]
    facts = [fact for fact in facts if fact]
    if not words:
        return '<p class="rank">Please type a finding.</p>'
    if not facts:
        return (
            '<p class="rank"><b>The model knows none of these words.</b> It has read reports of '
            "cardiomegaly, effusions, consolidations, nodules, atelectasis, pneumothorax and devices.</p>"
        )
    vector = _unit(embed_facts(model.first, [facts], tokenizer))[0]
    similarities = searched.vectors.images @ vector
    cards = "".join(
        f'<div class="card">{pictures.film(searched.studies[one].views[0], pictures.CARD)}<div>'
        f"<b>{similarities[one]:.2f}</b> {html.escape(searched.studies[one].findings)}</div></div>"
        for one in np.argsort(-similarities, kind="stable")[:FOUND_IMAGES]
    )
    remark = ""
    if strange:
        remark = f'<p class="rank">Left out, as the model has never seen them: {listed(strange)}.</p>'
    return f'{remark}<div class="cards">{cards}</div>'


def split_words(text: str) -> list[str]:
    """The words of a text in small letters."""
    return re.findall(r"\w+(?:[-'/]\w+)*", text.lower())
