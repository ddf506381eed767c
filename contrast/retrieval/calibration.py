from dataclasses import dataclass, field

import numpy as np
from numpy.typing import ArrayLike
from sklearn.metrics import precision_recall_curve

from contrast.retrieval.matrices import as_array


@dataclass(frozen=True)
class Calibration:
    """A threshold and what it was measured to do; `calibrate` returns it and `EmbeddingIndex.match` takes it.

    Attributes:
        threshold: the largest distance that counts as a match.
        precision: of the pairs within the threshold, the share that is the same.
        recall: of the pairs that are the same, the share within the threshold.
        false_match_rate: of the pairs that are not the same, the share within the threshold.
        thresholds, precisions, recalls: the whole curve, one entry for each distance that occurs, ascending.
    """

    threshold: float
    precision: float
    recall: float
    false_match_rate: float
    thresholds: np.ndarray = field(repr=False, compare=False)
    precisions: np.ndarray = field(repr=False, compare=False)
    recalls: np.ndarray = field(repr=False, compare=False)


def calibrate(
    distances: ArrayLike,
    same: ArrayLike,
    *,
    precision: float | None = None,
    false_match_rate: float | None = None,
) -> Calibration:
    """The largest threshold of distance that keeps a wanted precision or false-match rate.

    Measure it on classes that the encoder has not been trained on: those that it has seen lie much better,
    and a threshold from them lets strangers pass. The threshold is chosen to just keep the wanted value on
    these very pairs; on others it will be met only about. Distances come from `pair_distances`, any two
    items, or from `nearest_distances`, what `EmbeddingIndex.match` decides on.

    Precision depends on how many of the pairs are the same, here and later; the false-match rate does not.
    Use the latter where queries may be of any number of strangers.

    Args:
        distances: float array `(pairs,)`.
        same: bool array `(pairs,)`, whether the two belong together.
        precision: the precision to keep, above 0 and up to 1; or
        false_match_rate: the false-match rate to keep below or at, from 0 and below 1.

    Raises:
        ValueError: if not exactly one of the two is wanted, or it is outside its range; if no threshold keeps
            it, with the best that one reaches; if distances are not finite, or pairs are all the same or all
            different.

    Example:

    >>> distances, same = [0.1, 0.2, 0.3, 0.4], [True, True, False, True]
    >>> contrast.retrieval.calibrate(distances, same, precision=0.9)
    Calibration(threshold=0.2, precision=1.0, recall=0.6666666666666666, false_match_rate=0.0)
    """
    if (precision is None) == (false_match_rate is None):
        raise ValueError("Give either precision or false_match_rate, the one that is wanted.")
    if precision is not None and not 0 < precision <= 1:
        raise ValueError(f"precision must be above 0 and at most 1, got {precision}.")
    if false_match_rate is not None and not 0 <= false_match_rate < 1:
        raise ValueError(f"false_match_rate must be from 0 to below 1, got {false_match_rate}.")
    distances, same = _checked(distances, same)
    precisions, recalls, scores = precision_recall_curve(same, -distances)
    # The last point of the curve, precision 1 at recall 0, is no threshold.
    thresholds, precisions, recalls = -scores[::-1], precisions[-2::-1], recalls[-2::-1]
    different = np.sort(distances[~same])
    rates = np.searchsorted(different, thresholds, side="right") / len(different)
    kept = rates <= false_match_rate if precision is None else precisions >= precision
    if not kept.any():
        raise ValueError(_unreachable(precision, false_match_rate, thresholds, precisions, recalls, rates))
    best = np.flatnonzero(kept)[-1]
    return Calibration(
        float(thresholds[best]),
        float(precisions[best]),
        float(recalls[best]),
        float(rates[best]),
        thresholds,
        precisions,
        recalls,
    )


def _checked(distances, same):
    distances, same = np.asarray(as_array(distances), "float64"), np.asarray(as_array(same))
    if distances.ndim != 1 or same.shape != distances.shape:
        raise ValueError(
            f"distances and same must be (pairs,), got shapes {distances.shape} and {same.shape}."
        )
    if not np.isfinite(distances).all():
        raise ValueError(f"distances must be finite, got {distances[~np.isfinite(distances)][0]}.")
    if same.dtype.kind not in "biu" or not np.isin(same, (0, 1)).all():
        raise ValueError(f"same must be True or False for each pair, got {same.dtype}.")
    same = same.astype(bool)
    if same.all() or not same.any():
        raise ValueError(
            "same must hold pairs that are the same and pairs that are not, got "
            f"{same.sum()} and {(~same).sum()}."
        )
    return distances, same


def _unreachable(precision, false_match_rate, thresholds, precisions, recalls, rates):
    if precision is None:
        return (
            f"No threshold keeps false_match_rate {false_match_rate}; the lowest is {rates[0]:.4g}, at "
            f"threshold {thresholds[0]:.4g} with recall {recalls[0]:.4g}."
        )
    best = len(precisions) - 1 - np.argmax(precisions[::-1])
    return (
        f"No threshold keeps precision {precision}; the highest is {precisions[best]:.4g}, at threshold "
        f"{thresholds[best]:.4g} with recall {recalls[best]:.4g}."
    )
