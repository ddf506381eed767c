from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike
from sklearn.linear_model import RidgeCV
from sklearn.metrics import mean_absolute_error, r2_score
from sklearn.preprocessing import StandardScaler

from contrast.evaluation.inputs import check_same_width, feature_matrix
from contrast.retrieval.matrices import as_array

GRID = tuple(10.0**power for power in range(-2, 6))


def ridge_probe(
    train_features: ArrayLike,
    train_targets: ArrayLike,
    test_features: ArrayLike,
    test_targets: ArrayLike,
    alphas: Sequence[float] = GRID,
) -> dict[str, float]:
    r"""How well numbers can be read off frozen features by a linear map.

    Ridge regression on features scaled to mean 0 and variance 1 over the training part,
    $$\min_{w, b} \sum_i (y_i - w \cdot x_i - b)^2 + \alpha \lVert w \rVert^2,$$
    with the $\alpha$ of the smallest leave-one-out error on the training part. For classes use
    `linear_probe`.

    Args:
        train_features: float array or tensor `(rows, dim)`.
        train_targets: floats `(rows,)`, not all alike.
        test_features, test_targets: the same for rows that were not in training, at least two.
        alphas: positive floats to choose from.

    Returns:
        `r2`, 1 at best and 0 for the mean of the targets; `mean_absolute_error`; and the `alpha` taken.

    Raises:
        ValueError: if features or targets are not finite or of another shape, or targets are all alike.

    Example:

    >>> x = np.random.default_rng(0).normal(size=(60, 3))
    >>> y = x @ [1.0, -2.0, 0.5]
    >>> round(contrast.evaluation.ridge_probe(x[:40], y[:40], x[40:], y[40:])["r2"], 3)
    1.0
    """
    train, test = (
        feature_matrix("train_features", train_features),
        feature_matrix("test_features", test_features),
    )
    check_same_width("train_features", train, "test_features", test)
    y, test_y = _targets("train_targets", train_targets, train), _targets("test_targets", test_targets, test)
    if min(alphas, default=0) <= 0:
        raise ValueError(f"alphas must be positive, at least one, got {alphas!r}.")
    scaler = StandardScaler().fit(train.astype("float64"))
    model = RidgeCV(alphas=np.array(alphas)).fit(scaler.transform(train), y)
    predicted = model.predict(scaler.transform(test))
    return {
        "r2": float(r2_score(test_y, predicted)),
        "mean_absolute_error": float(mean_absolute_error(test_y, predicted)),
        "alpha": float(model.alpha_),
    }


def _targets(name, values, features):
    values = np.asarray(as_array(values), "float64")
    if values.shape != (len(features),):
        raise ValueError(f"{name} must be ({len(features)},), one for each row, got shape {values.shape}.")
    if not np.isfinite(values).all():
        raise ValueError(
            f"{name} must be finite, got NaN or infinity in {(~np.isfinite(values)).sum()} of {len(values)} "
            "rows."
        )
    if np.ptp(values) == 0:
        raise ValueError(f"{name} must not be all alike, got {values[0]:g} in all {len(values)} rows.")
    return values
