from collections.abc import Sequence
from typing import Any

import keras

from contrast.losses import DecoupledContrastive
from contrast.losses.base import ContrastiveLoss
from contrast.models.simclr import SimCLR


@keras.saving.register_keras_serializable(package="contrast.models")
class DecoupledSimCLR(SimCLR):
    r"""SimCLR whose denominator leaves the positive out: decoupled contrastive learning, for small batches.

    With the embeddings z of the 2N views, $s_{ij} = \cos(z_i, z_j) / \tau$, j the partner of i and $N_i$ the
    views of the other samples,
    $$L = \frac{1}{2N} \sum_i \left( -w_i s_{ij} + \log \sum_{k \in N_i} e^{s_{ik}} \right),$$
    where $w_i = 1$, or larger for pairs that are far apart (`weighting="von_mises"`).

    Use it where the batch is some dozen to few hundred samples: SimCLR's gradient fades once the positive is
    easier than the few negatives. With large batches it is as good as `SimCLR`.

    Args:
        encoder, augmentation, projector: see `SimCLR`.
        temperature: $\tau$.
        weighting: `None` (DCL) or `"von_mises"` (DCLW).
        same_id: `None`: ids are not read; else as for `contrast.losses.DecoupledContrastive`.
        encode_chunk: `None`, or the most views that run through the encoder at once; see `Scheme`.

    Data and errors: as for `SimCLR`.

    Example:

    >>> views = np.random.default_rng(0).normal(size=(16, 2, 8)).astype("float32")
    >>> model = contrast.models.DecoupledSimCLR(keras.layers.Dense(4), projector=(8, 4))
    >>> model.compile("adam")
    >>> history = model.fit(views, batch_size=8, epochs=1, verbose=0)

    Reference: [Yeh et al., 2022](https://arxiv.org/abs/2110.06848)
    """

    def __init__(
        self,
        encoder: keras.Layer,
        augmentation: keras.Layer | None = None,
        projector: Sequence[int] | keras.Layer = (2048, 128),
        temperature: float = 0.1,
        weighting: str | None = None,
        same_id: str | None = None,
        **kwargs: Any,
    ) -> None:
        self.weighting = weighting
        super().__init__(encoder, augmentation, projector, temperature, same_id, **kwargs)

    def make_loss(self) -> ContrastiveLoss:
        return DecoupledContrastive(self.temperature, self.weighting, same_id=self.same_id or "ignore")

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "weighting": self.weighting}
