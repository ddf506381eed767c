"""How good translations are, and what a system that does not look at the video would get."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from applications.environment import check_packages

__all__ = [
    "coco_scores",
    "random_sentences",
    "sacrebleu_scores",
    "shuffled_references",
    "template_oracle",
    "translation_scores",
    "video_to_text_recall",
]

_ORDERS = (1, 2, 3, 4)


def sacrebleu_scores(
    translations: Sequence[str], references: Sequence[Sequence[str]], tokenize: str = "13a"
) -> dict[str, float]:
    """Corpus BLEU of sacrebleu: exponential smoothing, several references.

    Args:
        translations: one sentence for each clip; may be empty strings.
        references: the right sentences for each clip, at least one.
        tokenize: sacrebleu's name of the tokenisation: "13a" for languages with spaces, "zh" for Chinese.

    Returns:
        `bleu_1` to `bleu_4` and `brevity_penalty`; BLEU in percent.

    Raises:
        MissingPackageError: if sacrebleu is not installed.
        ValueError: if there is no translation, they and the references differ in number, or a clip has none.

    Example:

    >>> from applications.sign_translation.evaluation import sacrebleu_scores
    >>> scores = sacrebleu_scores(["rain in the north"], [["rain in the north", "the north gets rain"]])
    >>> round(scores["bleu_4"])
    100
    """
    translations, references = _checked(translations, references)
    check_packages("sacrebleu")
    from sacrebleu.metrics import BLEU

    most = max(map(len, references))
    streams = [[of[place] if place < len(of) else None for of in references] for place in range(most)]
    scores, brevity = {}, 0.0
    for order in _ORDERS:
        # Sentences are few and short by nature, and tokenised by whoever made the corpus: no advice needed.
        result = BLEU(max_ngram_order=order, tokenize=tokenize, force=True).corpus_score(
            translations, streams
        )
        scores[f"bleu_{order}"], brevity = float(result.score), float(result.bp)
    return {**scores, "brevity_penalty": brevity}


def coco_scores(translations: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, float]:
    """BLEU without smoothing and ROUGE-L as in COCO's caption evaluation, which papers of this task report.

    Sentences are split at spaces. ROUGE-L is the mean over sentences of the F measure, with beta 1.2, of the
    longest common subsequence.

    Args:
        translations, references: as for `sacrebleu_scores`.

    Returns:
        `coco_bleu_1` to `coco_bleu_4` and `rouge_l`, in percent.

    Raises:
        MissingPackageError: if pycocoevalcap is not installed.
        ValueError: as for `sacrebleu_scores`.
    """
    translations, references = _checked(translations, references)
    check_packages("pycocoevalcap")
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.rouge.rouge import Rouge

    found = {clip: [_spaced(sentence)] for clip, sentence in enumerate(translations)}
    right = {clip: [_spaced(sentence) for sentence in of] for clip, of in enumerate(references)}
    bleu, _ = Bleu(len(_ORDERS)).compute_score(right, found, verbose=0)
    spoken = {
        clip: sentence for clip, sentence in found.items() if sentence != [""]
    }  # it divides by the length
    rouge = 0.0
    if spoken:
        mean, _ = Rouge().compute_score({clip: right[clip] for clip in spoken}, spoken)
        rouge = float(mean) * len(spoken) / len(found)
    scores = {f"coco_bleu_{order}": 100 * float(bleu[order - 1]) for order in _ORDERS}
    return {**scores, "rouge_l": 100 * rouge}


def translation_scores(
    translations: Sequence[str], references: Sequence[Sequence[str]], seed: int = 0
) -> dict[str, float]:
    """All scores of translations, and BLEU-4 against the references of other clips beside them.

    A system that has learned the language but not to watch scores as well on other clips as on its own.

    Args:
        translations, references: as for `sacrebleu_scores`; at least two clips.
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

    >>> from applications.sign_translation.evaluation import sacrebleu_scores, template_oracle
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


def _checked(
    translations: Sequence[str], references: Sequence[Sequence[str]]
) -> tuple[list[str], list[list[str]]]:
    if isinstance(translations, str) or any(isinstance(of, str) for of in references):
        raise TypeError("translations must be a list of strings, and references a list of lists of them.")
    if not len(translations) or len(translations) != len(references):
        raise ValueError(
            "translations and references must be of the same clips, at least one, got "
            f"{len(translations)} and {len(references)}."
        )
    empty = next((clip for clip, of in enumerate(references) if not any(map(str.strip, of))), None)
    if empty is not None:
        raise ValueError(f"references must hold a sentence for each clip, got none for clip {empty}.")
    return list(translations), [list(of) for of in references]


def _spaced(sentence: str) -> str:
    return " ".join(sentence.split())
