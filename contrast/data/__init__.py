"""Views and pairs from arrays and from `tf.data`, ready for `model.fit`."""

from contrast.data.adapters import pairs_from_tf_data, views_from_tf_data
from contrast.data.batches import ArrayBatches
from contrast.data.pairs import PairBatches
from contrast.data.views import ViewBatches

__all__ = ["ArrayBatches", "PairBatches", "ViewBatches", "pairs_from_tf_data", "views_from_tf_data"]
