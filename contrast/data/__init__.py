"""Views, pairs and ragged sequences, from arrays and from `tf.data`, ready for `model.fit`."""

from contrast.data.adapters import pairs_from_tf_data, views_from_tf_data
from contrast.data.batches import ArrayBatches
from contrast.data.buckets import RaggedBatches, bucket_lengths
from contrast.data.frame_padding import pad_frames
from contrast.data.pairs import PairBatches
from contrast.data.sentence_noise import WordMasking
from contrast.data.views import ViewBatches

__all__ = [
    "ArrayBatches",
    "PairBatches",
    "RaggedBatches",
    "ViewBatches",
    "WordMasking",
    "bucket_lengths",
    "pad_frames",
    "pairs_from_tf_data",
    "views_from_tf_data",
]
