"""How well scores tell normal from odd."""

import numpy as np


def auroc(is_normal: np.ndarray, scores: np.ndarray) -> float:
    """The probability that a normal image scores higher than an odd one; ties count half.

    Args:
        is_normal: bool array `(count,)`; both kinds must be there.
        scores: `(count,)`, higher for more normal.

    Raises:
        ValueError: if there is one kind only, lengths differ or a score is no number.

    Example:

    >>> from applications.anomaly_detection import auroc
    >>> auroc([True, True, False], [0.9, 0.4, 0.4])
    0.75
    """
    from sklearn.metrics import roc_auc_score

    is_normal, scores = np.asarray(is_normal).astype(bool).ravel(), np.asarray(scores, "float64").ravel()
    if len(is_normal) != len(scores):
        raise ValueError(
            f"is_normal and scores must be alike in length, got {len(is_normal)}, {len(scores)}."
        )
    if is_normal.all() or not is_normal.any():
        raise ValueError(f"is_normal must hold both kinds, got {int(is_normal.sum())} of {len(is_normal)}.")
    if not np.isfinite(scores).all():
        raise ValueError("scores must be numbers, got NaN or infinity.")
    return float(roc_auc_score(is_normal, scores))


def pixel_auroc(masks: np.ndarray, maps: np.ndarray) -> float:
    """The probability that a defect's pixel is hotter than a normal one, over all images together.

    Args:
        masks: bool array `(count, height, width)`, `True` on defects.
        maps: float array of the same shape, higher for less normal, as `heat_map` gives.

    Raises:
        ValueError: if shapes differ, or there are no pixels of one kind.
    """
    masks, maps = np.asarray(masks).astype(bool), np.asarray(maps)
    if masks.shape != maps.shape:
        raise ValueError(f"masks and maps must have one shape, got {masks.shape} and {maps.shape}.")
    return auroc(~masks, -maps)


def judged(is_normal: np.ndarray, masks: np.ndarray | None, maps: np.ndarray) -> dict[str, float]:
    """AUROC of pictures, each as odd as its hottest pixel, and of pixels where there are masks.

    Args:
        is_normal: bool `(count,)`.
        masks: see `pixel_auroc`; `None` where nobody has drawn them.
        maps: see `pixel_auroc`.
    """
    scores = {"auroc": auroc(is_normal, -maps.max(axis=(1, 2)))}
    return scores if masks is None else {**scores, "pixel_auroc": pixel_auroc(masks, maps)}
