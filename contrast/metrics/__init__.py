"""Scores of embeddings: as metrics for `compile(metrics=...)` and as functions.

The metrics read `y_pred` as the losses do, `(batch, views, dim)`, and compute in float32 under every policy.
They work without targets too, as in `model.fit(images)`: Keras then passes `None` as `y_true`.
"""

from contrast.metrics.alignment import Alignment, alignment
from contrast.metrics.effective_rank import EffectiveRank, effective_rank
from contrast.metrics.recall_at_k import RecallAtK, recall_at_k
from contrast.metrics.uniformity import Uniformity, uniformity

__all__ = [
    "Alignment",
    "EffectiveRank",
    "RecallAtK",
    "Uniformity",
    "alignment",
    "effective_rank",
    "recall_at_k",
    "uniformity",
]
