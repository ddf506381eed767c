"""How central each embedding is among those that belong together."""

from keras import ops

from contrast.ops.pairs import Pairs
from contrast.ops.row_statistics import count_positives, row_statistics
from contrast.ops.similarity import l2_normalize
from contrast.ops.tiled import TILE_SIZE
from contrast.typing import Tensor, TileSize


def soft_aggregation_weights(
    z: Tensor,
    mask: Tensor,
    temperature: float = 0.5,
    ids: Tensor | None = None,
    tile_size: TileSize = TILE_SIZE,
) -> Tensor:
    r"""Weights that are large for embeddings near the others of their group and small for stray ones.

    With $G_i$ the embeddings of anchor i's group but i itself, and unit vectors $z$,
    $$a_i = \sum_{j \in G_i} e^{z_i \cdot z_j / \tau_w}, \qquad
    w_i = \frac{a_i}{a_i + \sum_{k \in G_i} a_k}.$$

    Use them as `pair_weights` of `contrast.losses.SupervisedContrastive`, so that a view that misses the
    object attracts the others less. No gradient flows through them: otherwise a model could lower its loss by
    moving the weights. The similarity matrix is never held whole.

    Args:
        z: float tensor `(views, dim)`; scaled to unit length here.
        mask: bool tensor `(views,)`, `True` for the views that are weighted.
        temperature: the positive float $\tau_w$; the lower, the more unequal the weights.
        ids: int tensor `(views,)`, equal for views of one group; `None`: all views of the mask are one group.
        tile_size: rows of the similarity matrix held at once, `"auto"` for what suits the device, or
            `None` for all.

    Returns:
        A float32 tensor `(views,)`: the weights of a group sum to 1; 0 outside the mask and for a view that
        is alone in its group.

    Raises:
        ValueError: if the temperature is not positive or the shapes do not fit.

    Example:

    >>> z = np.array([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [1.0, 0.0]])
    >>> weights = contrast.ops.soft_aggregation_weights(z, [True, True, True, False])
    >>> [round(float(weight), 2) for weight in weights]
    [0.44, 0.45, 0.12, 0.0]

    Reference: Wang et al., "Unilaterally Aggregated Contrastive Learning with Hierarchical Augmentation for
        Anomaly Detection", ICCV 2023, equation 5.
    """
    if not temperature > 0:
        raise ValueError(f"temperature must be positive, got {temperature}.")
    z = ops.cast(ops.convert_to_tensor(z), "float32")
    mask = ops.cast(ops.convert_to_tensor(mask), "bool")
    lengths = {z.shape[0], *mask.shape} - {None}
    if len(z.shape) != 2 or len(mask.shape) != 1 or len(lengths) > 1:
        raise ValueError(
            f"z must be (views, dim) and mask (views,), got shapes {tuple(z.shape)} and {tuple(mask.shape)}."
        )
    rows = l2_normalize(ops.stop_gradient(z)) * temperature**-0.5
    numbers = ops.arange(ops.shape(z)[0])
    ids = ops.zeros_like(numbers) if ids is None else ops.cast(ids, "int32")
    relation = {"row_ids": ids, "column_ids": ids, "one_sided": True, "candidate_mask": mask}
    pairs = Pairs(numbers, numbers, **relation)
    statistics = row_statistics(rows, None, pairs, log_positives=True, tile_size=tile_size)
    grouped = ops.logical_and(mask, ops.greater(statistics.positive_weight, 0))
    log_mass = ops.where(grouped, statistics.positives, -1e30)
    mass = ops.where(grouped, ops.exp(log_mass - ops.max(log_mass)), 0.0)
    others = Pairs(numbers, numbers, **relation, positive_weights=mass)
    count = ops.shape(z)[0]
    total = mass + count_positives(others, count, count, tile_size=tile_size)
    return ops.stop_gradient(ops.where(grouped, mass / ops.where(grouped, total, 1.0), 0.0))
