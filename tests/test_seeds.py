"""Layers that stand together draw from seeds that lie far apart."""

import itertools

import keras
import pytest

from applications.sign_translation.visual_encoder import VisualEncoder
from contrast.decoding import FeatureDecoder
from contrast.encoders import ConvNet, TextTransformer, ViT
from contrast.layers import CrossAttentionFusion

pytestmark = pytest.mark.once

STACKS = {
    "text": lambda seed: TextTransformer(20, dim=8, heads=2, depth=3, dropout=0.5, seed=seed),
    "image": lambda seed: ViT(dim=8, heads=2, depth=3, dropout=0.5, seed=seed),
    "decoder": lambda seed: FeatureDecoder(20, dim=8, heads=2, depth=3, dropout=0.5, seed=seed),
    "fusion": lambda seed: CrossAttentionFusion(depth=3, heads=2, dropout=0.5, seed=seed),
    "video": lambda seed: VisualEncoder(ConvNet((4,)), dim=8, heads=2, depth=3, dropout=0.5, seed=seed),
}


def first_states(stack):
    """The first word of each dropout's state, from which PyTorch's draws count upwards."""
    layers = [layer for layer in stack._flatten_layers() if isinstance(layer, keras.layers.Dropout)]
    return [int(keras.ops.convert_to_numpy(layer.seed_generator.state)[0]) for layer in layers]


@pytest.mark.parametrize("name", STACKS)
def test_neighbouring_seeds_share_no_draws(name):
    states = [state for seed in range(4) for state in first_states(STACKS[name](seed))]
    assert len(states) >= 12
    assert min(abs(a - b) for a, b in itertools.combinations(states, 2)) > 1000
    assert first_states(STACKS[name](2)) == first_states(STACKS[name](2))
