"""The loss of UniCon-HA: normal images come together, every virtual outlier stays by itself."""

from keras import ops

from contrast import backend
from contrast.losses import SupervisedContrastive
from contrast.ops.soft_aggregation import soft_aggregation_weights


def unilateral_ids(batch, shifts, labels=None, views=2):
    """Which views belong together: those of normal images by class, those of an outlier with its own only.

    Args:
        batch: the number N of images; int or scalar tensor.
        shifts: the number K of transforms, the first of which leaves an image normal.
        labels: int tensor `(N,)`: the class of each image, or a number below 0 for one that is not normal
            under any transform; `None`: all are normal and of one class.
        views: the number of views of each shifted image.

    Returns:
        An int32 tensor `(K * views * N,)` for views in this order: by transform, within it by view, within it
        by image. Views of normal images hold their class, at least 0; those of outliers a number below 0 that
        only views of the same shifted image share.
    """
    own = -1 - ops.reshape(ops.arange(shifts * batch, dtype="int32"), (shifts, 1, -1))
    if labels is None:
        normal = ops.zeros_like(own[:1])
    else:
        labels = ops.reshape(ops.cast(labels, "int32"), (1, 1, -1))
        normal = ops.where(labels < 0, own[:1], labels)
    ids = ops.concatenate([normal, own[1:]], axis=0)
    return ops.reshape(ops.repeat(ids, views, axis=1), (-1,))


def unilateral_loss(z, ids, temperature=0.5, soft=False, soft_temperature=0.5, pairwise=False):
    r"""Aggregates normal views and spreads all others.

    With $P_x$ the other views of anchor x's id, all other views as candidates, unit vectors z and weights w
    (1 unless `soft`),
    $$\ell(x) = -\frac{1}{\sum_{p \in P_x} w_p} \sum_{p \in P_x} w_p \log
    \frac{e^{z_x \cdot z_p / \tau}}{\sum_{u \ne x} e^{z_x \cdot z_u / \tau}},$$
    and the loss is the mean over the anchors of all replicas. An anchor without a positive counts as 0.

    Args:
        z: float tensor `(views, dim)`, scaled to unit length here.
        ids: int tensor `(views,)` as `unilateral_ids` makes it: at least 0 for normal views; a number below 0
            means another shifted image on each replica.
        temperature: the positive float $\tau$.
        soft: weigh the positives of normal anchors by `contrast.ops.soft_aggregation_weights`, constants
            to the gradient, so that a view that misses the object attracts less.
        soft_temperature: of these weights.
        pairwise: with `soft`, let the weight of the anchor count as well: normal pairs are pooled,
            $\sum_{x,p} w_x w_p \ell_{xp} / \sum_{x,p} w_x w_p$, and enter with the normal anchors' share.

    Returns:
        A float32 scalar.

    Reference: Wang et al., ICCV 2023, equations 3 to 6. Equation 6 is printed with the weights inside the
        logarithm, where they would be additive constants; here they stand outside.
    """
    loss = SupervisedContrastive(temperature, no_positive="zero", reduction="none")
    ids = ops.cast(ids, "int32")
    z, ids = map(backend.gather, (z, ops.where(ids < 0, ids - backend.rows_before(z), ids)))
    if not soft:
        return ops.mean(loss(ids, z[:, None], gathered=True))
    normal = ops.greater_equal(ids, 0)
    weights = soft_aggregation_weights(z, normal, soft_temperature, ids)
    each = loss(ids, z[:, None], pair_weights=ops.where(normal, weights, 1.0), gathered=True)
    if not pairwise:
        return ops.mean(each)
    normal = ops.cast(normal, "float32")
    share = weights * (1 - weights)  # the weights of a class sum to 1
    pooled = ops.divide_no_nan(ops.sum(share * each), ops.sum(share))
    return ops.mean(normal) * pooled + ops.mean((1 - normal) * each)
