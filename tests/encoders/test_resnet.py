import keras
import numpy as np
import pytest

from contrast.encoders import ResNet
from tests.case import assert_close, check_every_weight_moves, check_saved, to_numpy

IMAGES = np.random.default_rng(0).random((4, 8, 6, 3)).astype("float32")


@pytest.mark.parametrize("normalization", ["batch", "group"])
def test_shapes_saving_and_training(normalization, tmp_path):
    encoder = ResNet((1, 2), 4, normalization)
    assert tuple(encoder(keras.Input((8, 6, 3))).shape) == (None, 8)
    assert encoder.predict(IMAGES, verbose=0).shape == (4, 8) == encoder.compute_output_shape(IMAGES.shape)
    check_saved(encoder, IMAGES, tmp_path)
    check_every_weight_moves(encoder, IMAGES, np.random.default_rng(1).normal(size=(4, 8)))


def test_defaults_are_resnet_18():
    encoder = ResNet()
    blocks = [(block.filters, block.strides) for stage in encoder.stages for block in stage.layers]
    assert blocks == [(64, 1), (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1)]
    assert encoder.compute_output_shape((1, 32, 32, 3)) == (1, 512)


def test_number_of_weights():
    encoder = ResNet()
    with keras.StatelessScope(initialize_variables=False):  # the shapes are enough
        encoder.build((None, 32, 32, 3))
    # ResNet-18 has 11,689,512 weights with the stem of ImageNet (7x7x3x64) and 1,000 classes on 512 features.
    trainable = sum(int(np.prod(weight.shape)) for weight in encoder.trainable_variables)
    assert trainable == 11_689_512 - 513 * 1000 - (49 - 9) * 3 * 64


def test_stage_outputs():
    encoder = ResNet((1, 1), 4)
    maps = encoder.stage_outputs(IMAGES)
    assert [tuple(m.shape) for m in maps] == [(4, 8, 6, 4), (4, 4, 3, 8)]
    assert encoder.stage_shapes((None, 8, 6, 3)) == ((None, 8, 6, 4), (None, 4, 3, 8))
    assert_close(encoder(IMAGES), to_numpy(maps[-1]).mean((1, 2)))
    (first,) = encoder.stage_outputs(IMAGES, stages=1)
    assert_close(first, to_numpy(maps[0]))


def test_a_block_adds_to_its_input():
    encoder = ResNet((2,), 4)
    encoder.build(IMAGES.shape)
    block = encoder.stages[0].layers[1]
    last_norm = block.body.layers[-1]
    last_norm.gamma.assign(np.zeros(4))  # with nothing to add the block is ReLU of its input
    inputs = np.random.default_rng(2).normal(size=(2, 8, 6, 4)).astype("float32")
    assert_close(block(inputs), np.maximum(inputs, 0))


@pytest.mark.parametrize("normalization", ["batch", "group"])
def test_only_batch_normalisation_mixes_images(normalization):
    encoder = ResNet((1,), 4, normalization)
    alone, together = (to_numpy(encoder(IMAGES[:n], training=True))[0] for n in (1, 4))
    assert np.allclose(alone, together, atol=1e-5) == (normalization == "group")


def test_half_precision():
    features = ResNet((1,), 4, dtype="mixed_bfloat16")(IMAGES)
    assert keras.backend.standardize_dtype(features.dtype) == "bfloat16"


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: ResNet(()), "blocks"),
        (lambda: ResNet((1, 0)), "blocks"),
        (lambda: ResNet(width=0), "width"),
        (lambda: ResNet(normalization="layer"), "normalization"),
        (lambda: ResNet((1, 1, 1, 1), 4)(IMAGES), "at least 8 pixels"),
        (lambda: ResNet((1,), 4)(IMAGES[0]), "batch, height, width, channels"),
    ],
)
def test_bad_input(make, says):
    with pytest.raises(ValueError, match=says):
        make()
