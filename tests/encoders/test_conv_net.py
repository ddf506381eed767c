import keras
import numpy as np
import pytest

from contrast.encoders import ConvNet
from tests.case import assert_close, check_every_weight_moves, check_saved, to_numpy

IMAGES = np.random.default_rng(0).random((4, 12, 10, 3)).astype("float32")


@pytest.mark.parametrize("normalization", ["batch", "group", None])
def test_shapes_saving_and_training(normalization, tmp_path):
    encoder = ConvNet((4, 6), normalization)
    assert tuple(encoder(IMAGES).shape) == (4, 6)
    assert encoder.compute_output_shape(IMAGES.shape) == (4, 6)
    assert tuple(encoder(keras.Input((12, 10, 3))).shape) == (None, 6)
    check_saved(encoder, IMAGES, tmp_path)
    check_every_weight_moves(encoder, IMAGES, np.random.default_rng(1).normal(size=(4, 6)))


@pytest.mark.parametrize("normalization", ["batch", "group"])
def test_only_batch_normalisation_mixes_images(normalization):
    encoder = ConvNet((4, 6), normalization)
    alone, together = (to_numpy(encoder(IMAGES[:n], training=True))[0] for n in (1, 4))
    assert np.allclose(alone, together, atol=1e-5) == (normalization == "group")


def test_features_in_the_dtype_of_the_encoder():
    encoder = ConvNet((4,), dtype="mixed_bfloat16")
    assert keras.backend.standardize_dtype(encoder(IMAGES).dtype) == "bfloat16"


def test_stage_outputs():
    encoder = ConvNet((4, 6))
    maps = encoder.stage_outputs(IMAGES)
    assert [tuple(m.shape) for m in maps] == [(4, 6, 5, 4), (4, 3, 3, 6)]
    assert encoder.stage_shapes((None, 12, 10, 3)) == ((None, 6, 5, 4), (None, 3, 3, 6))
    assert_close(encoder(IMAGES), to_numpy(maps[-1]).mean((1, 2)))
    (first,) = encoder.stage_outputs(IMAGES, stages=1)
    assert_close(first, to_numpy(maps[0]))


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: ConvNet(()), "filters"),
        (lambda: ConvNet((4,), "layer"), "normalization"),
        (lambda: ConvNet((4, 4, 4, 4))(IMAGES), "at least 16 pixels"),
        (lambda: ConvNet((4,))(IMAGES[0]), "batch, height, width, channels"),
    ],
)
def test_bad_input(make, says):
    with pytest.raises(ValueError, match=says):
        make()
