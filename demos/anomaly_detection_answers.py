"""What the page of anomaly detection says: of a detector, of a threshold, of a picture."""

from dataclasses import dataclass

import numpy as np

from applications.anomaly_detection.demo_corpora import NORMAL, DemoCorpus
from applications.anomaly_detection.demo_model import DemoModel, judge
from demos.anomaly_detection_pictures import oddest_place
from demos.anomaly_detection_training import Progress
from demos.words import as_text

NEAREST = 4


@dataclass(frozen=True, eq=False)
class Seen:
    """A test picture, and what a detector says of it.

    Args:
        picture: `(height, width, channels)` from 0 to 1.
        score: higher for more normal.
        nearest: positions of the nearest normal images among those of the training.
        similarities: their cosines.
        kind: `NORMAL` or what is odd, if it is known.
        heat: the heat map of a picture that was looked through in patches.
        place: the oddest patch of it.
    """

    picture: np.ndarray
    score: float
    nearest: np.ndarray
    similarities: np.ndarray
    kind: str | None = None
    heat: np.ndarray | None = None
    place: np.ndarray | None = None


def of_test(model: DemoModel, index: int) -> Seen:
    """A test picture of the corpus."""
    heat = None if model.tests.maps is None else model.tests.maps[index]
    corpus = model.corpus
    return _seen(model, corpus.tests[index], model.tests.scores[index], heat, corpus.kinds[index])


def of_upload(model: DemoModel, picture: np.ndarray) -> Seen:
    """Any picture of the size of the test pictures."""
    judged = judge(model.detector.score, picture[None], model.corpus.train.shape[1:3])
    return _seen(model, picture, judged.scores[0], None if judged.maps is None else judged.maps[0])


def _seen(model, picture, score, heat, kind=None):
    place = None if heat is None else picture[oddest_place(heat, model.corpus.train.shape[1:3])]
    found = model.detector.explain((picture if place is None else place)[None], NEAREST)
    return Seen(picture, float(score), found.ids[0], found.similarities[0], kind, heat, place)


def offered(corpus: DemoCorpus, most: int) -> list[int]:
    """Positions of the test pictures to choose from: normal ones first, then as many odd ones."""
    normal, odd = np.flatnonzero(corpus.is_normal), np.flatnonzero(~corpus.is_normal)
    shown = max(most // 2, most - len(odd))
    return [*normal[:shown].tolist(), *odd[: most - min(shown, len(normal))].tolist()]


def normal(model: DemoModel) -> str:
    """One line on what the detector has seen and how good it is."""
    corpus = model.corpus
    patches = " patches" if corpus.in_patches else ""
    line = (
        f"**Normal here: {corpus.name}.** Trained on {len(corpus.train)}{patches} in {len(model.loss)} "
        f"epochs; {len(corpus.held_out)} normal pictures held out for the threshold."
    )
    if model.auroc is not None:
        line += (
            f" AUROC on {len(corpus.kinds)} test pictures: **{model.auroc:.3f}** "
            f"(raw pixels without training: {model.raw_pixels:.3f}, chance: 0.5)."
        )
    if corpus.remarks:
        more = len(corpus.remarks) - 10
        line += " Remarks on your pictures: " + as_text("; ".join(corpus.remarks[:10]))
        line += f" and {more} more." if more > 0 else "."
    return line


def plain(markdown: str) -> str:
    """A line of `normal` for the terminal."""
    return markdown.replace("**", "")


def effect(model: DemoModel, rate: float) -> str:
    """What a threshold does to the test pictures."""
    threshold, is_normal = model.threshold(rate), model.corpus.is_normal
    odd = model.tests.scores < threshold
    parts = []
    if is_normal.any():
        parts.append(f"{odd[is_normal].sum()} of {is_normal.sum()} normal test pictures are called odd")
    if not is_normal.all():
        parts.append(f"{odd[~is_normal].sum()} of {(~is_normal).sum()} odd ones are found")
    few = len(model.held_out) * rate < 1
    note = (
        f" With {len(model.held_out)} held-out pictures the threshold is the lowest score of them."
        if few
        else ""
    )
    return f"Threshold {threshold:.3f}: {', and '.join(parts)}.{note}"


def verdict(seen: Seen, threshold: float) -> str:
    """Normal or odd, with the score; and whether that is right, where it is known."""
    is_normal = seen.score >= threshold
    sign = "≥" if is_normal else "<"
    line = f"**{'Normal' if is_normal else 'Odd'}**: score {seen.score:.3f} {sign} threshold {threshold:.3f}."
    if seen.kind is None:
        return line
    right = is_normal == (seen.kind == NORMAL)
    truth = "normal" if seen.kind == NORMAL else f"odd ({as_text(seen.kind)})"
    return f"{line} {'✓ Right' if right else '✗ Wrong'}: it is {truth}."


def starting(corpus: DemoCorpus) -> str:
    """Before the first epoch, which takes longest."""
    return f"Preparing to train on {len(corpus.train)} images of {corpus.name.lower()} …"


def training(state: Progress) -> str:
    """How far a training is."""
    return (
        f"Epoch {len(state.loss)} of {state.epochs} · loss {state.loss[-1]:.3f} · {state.seconds:.0f} s. "
        "The loss falls as normal pictures gather and virtual outliers spread."
    )


def trained(model: DemoModel) -> str:
    """After a training."""
    return f"<b>Trained</b> for {len(model.loss)} epochs. Its test pictures are in the first tab."
