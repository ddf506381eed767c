"""From features to tokens: a transformer decoder with caches, its loss, greedy and beam search."""

from contrast.decoding.beam_search import BeamSearch, Generated, generate
from contrast.decoding.feature_decoder import FeatureDecoder
from contrast.decoding.sequence_cross_entropy import SequenceCrossEntropy, label_smoothed_cross_entropy
from contrast.decoding.targets import last_tokens, shift_right

__all__ = [
    "BeamSearch",
    "FeatureDecoder",
    "Generated",
    "SequenceCrossEntropy",
    "generate",
    "label_smoothed_cross_entropy",
    "last_tokens",
    "shift_right",
]
