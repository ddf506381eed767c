"""Reconstruction of patches that the encoder has not seen."""

from keras import ops

from contrast import backend
from contrast.ops.shapes import agree
from contrast.typing import Tensor

EPSILON = 1e-6


def masked_patch_loss(patches: Tensor, predictions: Tensor, mask: Tensor, normalize: bool = True) -> Tensor:
    r"""Mean squared error of the predicted patches, over the masked ones alone.

    With the D numbers of patch x, its mean $\mu$ and its variance $\sigma^2 = \frac{1}{D - 1} \sum_j (x_j -
    \mu)^2$, and M the masked patches of the batch,
    $$\ell = \frac{1}{|M| D} \sum_{i \in M} \|p_i - \hat x_i\|^2, \qquad
    \hat x = \frac{x - \mu}{\sqrt{\sigma^2 + 10^{-6}}}.$$

    Use it as the objective of a masked autoencoder. Targets normalised by patch make better features in the
    paper; without it predictions are pixels. No gradient flows into the patches.

    Args:
        patches: float tensor `(batch, patches, dim)`, the targets.
        predictions: float tensor of the same shape.
        mask: bool or 0/1 tensor `(batch, patches)`, true for patches that the encoder has not seen.
        normalize: whether targets are normalised by patch.

    Returns:
        A float32 scalar; 0 if no patch is masked. Give it to `contrast.losses.total_loss` as `mean`: on
        several replicas, which may have masked more and fewer patches, the mean of their values is that of
        all patches.

    Raises:
        ValueError: if the shapes do not fit together, or patches of one number are to be normalised.

    Example:

    >>> patches = np.random.default_rng(0).normal(size=(2, 4, 12))
    >>> mask = np.array([[1, 1, 0, 0], [0, 1, 1, 0]])
    >>> float(contrast.losses.masked_patch_loss(patches, patches, mask, normalize=False))
    0.0

    Reference: [He et al., 2022](https://arxiv.org/abs/2111.06377), sections 3 and 4.1; the variance is
        that of the official code.
    """
    patches, predictions = (ops.cast(ops.convert_to_tensor(x), "float32") for x in (patches, predictions))
    mask = ops.cast(ops.convert_to_tensor(mask), "bool")
    shapes = [tuple(x.shape) for x in (patches, predictions, mask)]
    if len(shapes[0]) != 3 or not agree(shapes[0], shapes[1]) or not agree(shapes[0][:2], shapes[2]):
        raise ValueError(
            "patches and predictions must be (batch, patches, dim) alike and mask (batch, patches), "
            f"got shapes {shapes[0]}, {shapes[1]} and {shapes[2]}."
        )
    dim = shapes[0][2]
    targets = ops.stop_gradient(patches)
    if normalize:
        if dim == 1:
            raise ValueError("patches of one number have no variance; set normalize=False.")
        targets = targets - ops.mean(targets, axis=-1, keepdims=True)
        variance = ops.sum(ops.square(targets), axis=-1, keepdims=True) / (dim - 1)
        targets = targets * ops.rsqrt(variance + EPSILON)
    # What was predicted for visible patches may be anything, NaN included: it is replaced before it is read.
    error = ops.where(mask[:, :, None], predictions - targets, 0.0)
    count = backend.mean_over_replicas(ops.sum(ops.cast(mask, "float32")))
    return ops.sum(ops.mean(ops.square(error), axis=-1)) / ops.maximum(count, 1.0 / backend.replica_count())
