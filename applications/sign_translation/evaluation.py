"""How good translations are, and what a system that does not look at the video would get."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from applications.text_scores import coco_scores, sacrebleu_scores

__all__ = [
    "random_sentences",
    "shuffled_references",
    "template_oracle",
    "translation_scores",
    "video_to_text_recall",
]


def translation_scores(
    translations: Sequence[str], references: Sequence[Sequence[str]], seed: int = 0
) -> dict[str, float]:
    """All scores of translations, and BLEU-4 against the references of other clips beside them.

    A system that has learned the language but not to watch scores as well on other clips as on its own.

    Args:
        translations: one sentence for each clip; may be empty strings.
        references: the right sentences for each clip, at least one; at least two clips.
        seed: of the shuffling.

    Returns:
        what `sacrebleu_scores` and `coco_scores` return, and `shuffled_bleu_4`.

    Raises:
        MissingPackageError: if sacrebleu or pycocoevalcap is not installed.
        ValueError: as for `sacrebleu_scores`, or if there is only one clip.
    """
    shuffled = sacrebleu_scores(translations, shuffled_references(references, seed))
    return {
        **sacrebleu_scores(translations, references),
        **coco_scores(translations, references),
        "shuffled_bleu_4": shuffled["bleu_4"],
    }


def shuffled_references(references: Sequence[Sequence[str]], seed: int = 0) -> list[tuple[str, ...]]:
    """For each clip the references of another one; each clip's are used once.

    Raises:
        ValueError: if there are fewer than two clips.
    """
    others = _others(len(references), seed)
    return [tuple(references[other]) for other in others]


def random_sentences(references: Sequence[Sequence[str]], seed: int = 0) -> list[str]:
    """The baseline that knows the language only: for each clip a right sentence of another one.

    Raises:
        ValueError: if there are fewer than two clips.
    """
    generator = np.random.default_rng((seed, 1))
    return [str(generator.choice(of)) for of in shuffled_references(references, seed)]


def template_oracle(
    references: Sequence[Sequence[str]], seed: int = 0
) -> tuple[list[str], list[tuple[str, ...]]]:
    """The ceiling where one wording counts: it knows what is signed, but not which wording was drawn.

    Returns:
        for each clip one of its right sentences, drawn at random, and the single reference, another draw.

    Example:

    >>> from applications.sign_translation.evaluation import template_oracle
    >>> from applications.text_scores import sacrebleu_scores
    >>> sentences = [(f"on day {n} it rains", f"rain is coming on day {n}") for n in range(50)]
    >>> 40 < sacrebleu_scores(*template_oracle(sentences))["bleu_4"] < 70
    True
    """
    generator = np.random.default_rng((seed, 2))
    drawn = [generator.integers(len(of), size=2) for of in references]
    translations = [of[first] for of, (first, _) in zip(references, drawn, strict=True)]
    return translations, [(of[second],) for of, (_, second) in zip(references, drawn, strict=True)]


def video_to_text_recall(
    clips: np.ndarray, sentences: np.ndarray, texts: Sequence[str] | None = None, ks: Sequence[int] = (1, 5)
) -> dict[str, float]:
    """How often a clip's sentence is among the k nearest of all.

    Args:
        clips, sentences: vectors `(clips, dim)` of clips and of their sentences.
        texts: the sentences; clips with an equal one may find either. `None`: all count as different.
        ks: how many sentences are looked at, at most the number of clips.

    Returns:
        `recall_at_<k>` for each k, from 0 to 1.

    Raises:
        ValueError: as `contrast.metrics.recall_at_k`.
    """
    from contrast.metrics import recall_at_k

    ids = None if texts is None else np.unique(list(texts), return_inverse=True)[1].astype("int32")
    return {f"recall_at_{k}": float(recall_at_k(clips, sentences, k, ids)) for k in ks}


def _others(count: int, seed: int) -> np.ndarray:
    """A permutation that leaves nothing in its place."""
    if count < 2:
        raise ValueError(f"references must be of at least two clips to be shuffled, got {count}.")
    order = np.random.default_rng((seed, 0)).permutation(count)
    others = np.empty(count, int)
    others[order] = np.roll(order, 1)
    return others
