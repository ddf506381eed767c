"""How much the texts that a model wrote overlap with what people wrote: BLEU and ROUGE-L."""

from __future__ import annotations

from collections.abc import Sequence

from applications.environment import check_packages

__all__ = ["coco_scores", "sacrebleu_scores"]

_ORDERS = (1, 2, 3, 4)


def sacrebleu_scores(
    texts: Sequence[str], references: Sequence[Sequence[str]], tokenize: str = "13a"
) -> dict[str, float]:
    """Corpus BLEU of sacrebleu: exponential smoothing, several references.

    Args:
        texts: one sentence or one report each; may be empty strings.
        references: for each text the right ones, at least one.
        tokenize: sacrebleu's name of the tokenisation: "13a" for languages with spaces, "zh" for Chinese.

    Returns:
        `bleu_1` to `bleu_4` and `brevity_penalty`; BLEU in percent.

    Raises:
        MissingPackageError: if sacrebleu is not installed.
        TypeError: if texts, or the references of a text, are one string.
        ValueError: if there is no text, they and the references differ in number, or a text has no reference.

    Example:

    >>> from applications.text_scores import sacrebleu_scores
    >>> scores = sacrebleu_scores(["rain in the north"], [["rain in the north", "the north gets rain"]])
    >>> round(scores["bleu_4"])
    100
    """
    texts, references = _checked(texts, references)
    check_packages("sacrebleu")
    from sacrebleu.metrics import BLEU

    most = max(map(len, references))
    streams = [[of[place] if place < len(of) else None for of in references] for place in range(most)]
    scores, brevity = {}, 0.0
    for order in _ORDERS:
        # Sentences are few and short by nature, and tokenised by whoever made the corpus: no advice needed.
        result = BLEU(max_ngram_order=order, tokenize=tokenize, force=True).corpus_score(texts, streams)
        scores[f"bleu_{order}"], brevity = float(result.score), float(result.bp)
    return {**scores, "brevity_penalty": brevity}


def coco_scores(texts: Sequence[str], references: Sequence[Sequence[str]]) -> dict[str, float]:
    """BLEU without smoothing and ROUGE-L as in COCO's caption evaluation.

    Texts are split at spaces. ROUGE-L is the mean over texts of the F measure, with beta 1.2, of the
    longest common subsequence.

    Args:
        texts, references: as for `sacrebleu_scores`.

    Returns:
        `coco_bleu_1` to `coco_bleu_4` and `rouge_l`, in percent.

    Raises:
        MissingPackageError: if pycocoevalcap is not installed.
        TypeError, ValueError: as for `sacrebleu_scores`.
    """
    texts, references = _checked(texts, references)
    check_packages("pycocoevalcap")
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.rouge.rouge import Rouge

    found = {row: [_spaced(text)] for row, text in enumerate(texts)}
    right = {row: [_spaced(text) for text in of] for row, of in enumerate(references)}
    bleu, _ = Bleu(len(_ORDERS)).compute_score(right, found, verbose=0)
    spoken = {row: text for row, text in found.items() if text != [""]}  # it divides by the length
    rouge = 0.0
    if spoken:
        mean, _ = Rouge().compute_score({row: right[row] for row in spoken}, spoken)
        rouge = float(mean) * len(spoken) / len(found)
    scores = {f"coco_bleu_{order}": 100 * float(bleu[order - 1]) for order in _ORDERS}
    return {**scores, "rouge_l": 100 * rouge}


def _checked(texts: Sequence[str], references: Sequence[Sequence[str]]) -> tuple[list[str], list[list[str]]]:
    if isinstance(texts, str) or any(isinstance(of, str) for of in references):
        raise TypeError("texts must be a list of strings, and references a list of lists of them.")
    if not len(texts) or len(texts) != len(references):
        raise ValueError(
            "texts and references must be of the same number, at least one, got "
            f"{len(texts)} and {len(references)}."
        )
    empty = next((row for row, of in enumerate(references) if not any(map(str.strip, of))), None)
    if empty is not None:
        raise ValueError(f"references must hold a text for each of texts, got none for texts[{empty}].")
    return list(texts), [list(of) for of in references]


def _spaced(text: str) -> str:
    return " ".join(text.split())
