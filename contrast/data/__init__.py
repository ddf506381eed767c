"""Views, pairs and ragged sequences, from arrays, `tf.data`, grain and PyTorch, ready for `model.fit`."""

from contrast.data.adapters import (
    class_balanced_from_tf_data,
    pairs_from_tf_data,
    torch_collate,
    views_from_grain,
    views_from_tf_data,
    views_from_torch,
)
from contrast.data.batches import ArrayBatches
from contrast.data.buckets import RaggedBatches, bucket_lengths
from contrast.data.class_balanced import ClassBalancedBatches
from contrast.data.frame_padding import pad_frames
from contrast.data.image_folder import ImageFolder
from contrast.data.pairs import PairBatches
from contrast.data.sentence_noise import WordMasking
from contrast.data.views import ViewBatches

__all__ = [
    "ArrayBatches",
    "ClassBalancedBatches",
    "ImageFolder",
    "PairBatches",
    "RaggedBatches",
    "ViewBatches",
    "WordMasking",
    "bucket_lengths",
    "class_balanced_from_tf_data",
    "pad_frames",
    "pairs_from_tf_data",
    "torch_collate",
    "views_from_grain",
    "views_from_tf_data",
    "views_from_torch",
]
