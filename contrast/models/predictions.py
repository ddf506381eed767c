"""A student with a predictor: shared by the schemes that predict one view from the other."""

from contrast.losses import NegativeCosine
from contrast.typing import Tensor


def swapped_cosines(predictions: Tensor, targets: Tensor, sample_weight: Tensor | None = None) -> Tensor:
    """The negative cosine of the first predictions and the second targets, plus that of the others.

    Args:
        predictions: `(batch, 2, dim)`.
        targets: likewise; no gradient flows into them.
        sample_weight: `(batch,)` or `None`.

    Returns:
        A scalar from -2 to 2.
    """
    loss = NegativeCosine()
    first = loss(None, (predictions[:, 0], targets[:, 1]), sample_weight)
    return first + loss(None, (predictions[:, 1], targets[:, 0]), sample_weight)
