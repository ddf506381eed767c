"""How good reports are: their words, the findings that they state, and how these changed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence, Set
from dataclasses import dataclass

import numpy as np

from applications.report_generation import labeller as rules
from applications.report_generation.findings import CHEXPERT_CLASSES, FIVE_CLASSES, LABELS, chexpert_labels
from applications.text_scores import coco_scores

__all__ = [
    "RULES",
    "Labeller",
    "clinical_scores",
    "entity_scores",
    "progression_scores",
    "report_scores",
    "scored_text",
]

_FIVE = [CHEXPERT_CLASSES.index(name) for name in FIVE_CLASSES]


@dataclass(frozen=True)
class Labeller:
    """What reads findings from a report. What is `None` is not scored.

    Other readers of reports take the place of the rules here: a CheXbert model as `labels`, over the 14
    `CHEXPERT_CLASSES`, or RadGraph's entities as `triples`.

    Args:
        labels: gives 0 or 1 for each of some classes.
        progression: gives how findings changed, by their name.
        triples: gives a set of `(entity, label, relation)`.
    """

    labels: Callable[[str], np.ndarray] | None = None
    progression: Callable[[str], Mapping[str, str]] | None = None
    triples: Callable[[str], Set] | None = None


RULES = Labeller(rules.labels, rules.progression, rules.triples)


def report_scores(
    reports: Sequence[str],
    references: Sequence[str],
    labeller: Labeller = RULES,
    with_prior: Sequence[bool] | None = None,
) -> dict[str, float]:
    """All scores of reports.

    Args:
        reports: what was written; may be empty strings.
        references: what should have been written. As papers of this task do, cut them where the reports
            have to end: `ReportTokenizer.cut`.
        labeller: what reads the findings.
        with_prior: whether each study has a visit before; progression is scored on these. `None`: on all.

    Returns:
        from 0 to 1: `bleu_1` to `bleu_4` and `rouge_l`, as in COCO's caption evaluation, of lower-cased text
        with full stops as words; of `clinical_scores` over all labels `ce_f1` and the others behind `ce_`,
        and over 14 and 5 CheXpert classes behind `ce14_` and `ce5_` if the labels can be mapped to them;
        `progression_precision`, `progression_recall` and `progression_f1`; `entity_f1`.

    Raises:
        MissingPackageError: if pycocoevalcap is not installed.
        ValueError: if there is no report, lists differ in length, or a reference is empty.

    Example:

    >>> from applications.report_generation.evaluation import report_scores
    >>> right = ["small left pleural effusion. no pneumothorax.", "the lungs are clear. no pneumothorax."]
    >>> scores = report_scores(["a small left effusion. no pneumothorax.", right[1]], right)
    >>> scores["ce_f1"], scores["bleu_4"] < 1
    (1.0, True)
    """
    if isinstance(references, str):
        raise TypeError("references must be a list of strings, got a string.")
    coco = coco_scores(list(map(scored_text, reports)), [[scored_text(one)] for one in references])
    scores = {name.removeprefix("coco_"): score / 100 for name, score in coco.items()}
    if labeller.labels is not None:
        found, right = (np.stack([labeller.labels(text) for text in of]) for of in (reports, references))
        scores |= _named("ce_", clinical_scores(found, right))
        if found.shape[1] == len(LABELS):
            found, right = chexpert_labels(found), chexpert_labels(right)
        if found.shape[1] == len(CHEXPERT_CLASSES):
            scores |= _named("ce14_", clinical_scores(found, right))
            scores |= _named("ce5_", clinical_scores(found[:, _FIVE], right[:, _FIVE]))
    if labeller.progression is not None:
        rows = _chosen(with_prior, len(reports))
        found, right = ([labeller.progression(of[row]) for row in rows] for of in (reports, references))
        scores |= _named("progression_", progression_scores(found, right))
    if labeller.triples is not None:
        found, right = ([labeller.triples(text) for text in of] for of in (reports, references))
        scores["entity_f1"] = float(np.mean(entity_scores(found, right)))
    return scores


def scored_text(text: str) -> str:
    """A report as its words are counted: in lower case, full stops as words of their own."""
    return " ".join(text.lower().replace(".", " . ").split())


def clinical_scores(found: np.ndarray, right: np.ndarray) -> dict[str, float]:
    """Precision, recall and F1 of labels.

    Args:
        found: `(reports, classes)`, 0 or 1, of the reports to be scored.
        right: the same of the references.

    Returns:
        `precision`, `recall` and `f1` over all labels (micro), the means over classes behind `macro_`, where
        a class that never occurs counts as 0, and `exact`, the share of reports with all labels right.

    Raises:
        ValueError: if shapes differ, are no such ones or empty, or labels are neither 0 nor 1.

    Example:

    >>> from applications.report_generation.evaluation import clinical_scores
    >>> scores = clinical_scores(np.array([[1, 0], [1, 1]]), np.array([[1, 0], [0, 1]]))
    >>> round(scores["f1"], 3), round(scores["macro_f1"], 3), scores["exact"]
    (0.8, 0.833, 0.5)
    """
    from sklearn.metrics import precision_recall_fscore_support

    found, right = np.asarray(found), np.asarray(right)
    if found.shape != right.shape or found.ndim != 2 or not found.size:
        raise ValueError(
            f"found and right must both be (reports, classes), got shapes {found.shape} and {right.shape}."
        )
    if not (np.isin(found, (0, 1)).all() and np.isin(right, (0, 1)).all()):
        raise ValueError("found and right must hold 0 and 1 only.")
    # with a column beside it one class is a table of labels too, and no list of classes
    wide = [np.pad(of, ((0, 0), (0, 1))) for of in (right, found)]
    scores = {}
    for average, prefix in (("micro", ""), ("macro", "macro_")):
        values = precision_recall_fscore_support(
            *wide, labels=range(found.shape[1]), average=average, zero_division=0
        )
        for name, value in zip(("precision", "recall", "f1"), values, strict=False):
            scores[prefix + name] = float(value)
    return {**scores, "exact": float((found == right).all(axis=1).mean())}


def progression_scores(
    found: Sequence[Mapping[str, str]], right: Sequence[Mapping[str, str]]
) -> dict[str, float]:
    """Precision, recall and F1 of stated changes, over all pairs of study and finding.

    Args:
        found: for each study the change of each finding of which one is stated.
        right: the same of the references.

    Returns:
        `precision`, `recall` and `f1`; 0 where nothing is stated.

    Raises:
        ValueError: if the lists differ in length.

    Example:

    >>> from applications.report_generation.evaluation import progression_scores
    >>> progression_scores([{"nodule": "same"}], [{"nodule": "worse", "device": "new"}])
    {'precision': 0.0, 'recall': 0.0, 'f1': 0.0}
    """
    _same_length(found, right)
    common = sum(len(one.items() & of.items()) for one, of in zip(found, right, strict=True))
    return _precision_recall_f1(common, sum(map(len, found)), sum(map(len, right)))


def entity_scores(found: Sequence[Set], right: Sequence[Set]) -> np.ndarray:
    """RadGraph's partial reward: for each report F1 of its set of `(entity, label, relation)`.

    Args:
        found: of each report to be scored; repeated entities count once.
        right: of each reference.

    Returns:
        float64 `(reports,)` from 0 to 1; 0 where there is nothing in common.

    Raises:
        ValueError: if the lists differ in length.

    Example:

    >>> from applications.report_generation.evaluation import entity_scores
    >>> effusion, left = ("effusion", "OBS-DP", True), ("left", "ANAT-DP", True)
    >>> entity_scores([{effusion}], [{effusion, left}])
    array([0.66666667])
    """
    _same_length(found, right)
    return np.array(
        [
            _precision_recall_f1(len(one & of), len(one), len(of))["f1"]
            for one, of in zip(map(set, found), map(set, right), strict=True)
        ]
    )


def _precision_recall_f1(common: int, found: int, right: int) -> dict[str, float]:
    return {
        "precision": common / found if found else 0.0,
        "recall": common / right if right else 0.0,
        "f1": 2 * common / (found + right) if found + right else 0.0,
    }


def _named(prefix: str, scores: dict[str, float]) -> dict[str, float]:
    return {prefix + name: score for name, score in scores.items()}


def _chosen(with_prior: Sequence[bool] | None, count: int) -> list[int]:
    if with_prior is None:
        return list(range(count))
    if len(with_prior) != count:
        raise ValueError(f"with_prior must be one of each of {count} studies, got {len(with_prior)}.")
    return [row for row, given in enumerate(with_prior) if given]


def _same_length(found: Sequence, right: Sequence) -> None:
    if len(found) != len(right):
        raise ValueError(f"found and right must be of the same reports, got {len(found)} and {len(right)}.")
