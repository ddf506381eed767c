import keras
import numpy as np
import pytest

from applications.report_generation.image_encoders import ConvolutionTokens, DinoTokens, ImageBatches
from applications.report_generation.stages import fit_image_encoder
from tests.applications.report_generation.tiny import STUDIES
from tests.case import assert_close, to_numpy

IMAGES = np.random.default_rng(0).integers(0, 256, (40, 32, 16), dtype="uint8")


def test_tokens_have_the_statistics_they_should():
    encoder = ConvolutionTokens((32, 16), 8, code_scale=0.0)
    encoder.adapt(IMAGES)
    tokens = to_numpy(encoder(IMAGES))
    assert tokens.shape == (40, 4, 8)
    np.testing.assert_allclose(np.cov(tokens[:, 0].T), np.eye(8), atol=1e-3)
    np.testing.assert_allclose(tokens[:, 2:].std(axis=(0, 1)), 1, atol=1e-3)
    np.testing.assert_allclose(tokens[:, 1], tokens[:, 2:].mean(axis=1), atol=1e-5)


def test_few_images_leave_components_empty():
    encoder = ConvolutionTokens((32, 16), 8, code_scale=0.0)
    encoder.adapt(IMAGES[:4])
    tokens = to_numpy(encoder(IMAGES))
    assert not tokens[:, 0, 3:].any() and tokens[:, 0, :3].any()
    with pytest.raises(ValueError, match="at least two"):
        encoder.adapt(IMAGES[:1])


def test_bytes_and_floats_are_the_same_image():
    encoder = ConvolutionTokens((32, 16), 8)
    assert_close(encoder(IMAGES), to_numpy(encoder(IMAGES.astype("float32") / 255)), 1e-5)


@pytest.mark.once
def test_noise_is_learned_to_be_removed_and_weights_freeze():
    encoder = fit_image_encoder(STUDIES, ConvolutionTokens((16, 16), 8), epochs=8, batch_size=8)
    loss = encoder.history.history["loss"]
    assert loss[-1] < 0.9 * loss[0]
    assert not encoder.trainable_variables


def test_saved(tmp_path):
    encoder = ConvolutionTokens((32, 16), 8, seed=3)
    encoder.adapt(IMAGES)
    encoder.save(tmp_path / "encoder.keras")
    loaded = keras.models.load_model(tmp_path / "encoder.keras")
    assert_close(loaded(IMAGES), to_numpy(encoder(IMAGES)), 1e-6)


def test_dinov2_in_the_official_order(tmp_path):
    import keras_hub

    backbone = keras_hub.models.DINOV2Backbone(
        patch_size=14,
        num_layers=1,
        hidden_dim=8,
        num_heads=2,
        intermediate_dim=8,
        image_shape=(28, 28, 3),
        position_embedding_shape=(28, 28),
    )
    encoder = DinoTokens(backbone)
    images = np.random.default_rng(0).random((2, 28, 28)).astype("float32")
    tokens = to_numpy(encoder(images))
    assert tokens.shape == (2, 2 + 4, 8) and encoder.image_size == (28, 28)
    np.testing.assert_array_equal(tokens[:, 0], tokens[:, 1])
    encoder.save(tmp_path / "encoder.keras")
    assert_close(keras.models.load_model(tmp_path / "encoder.keras")(images), tokens, 1e-6)


@pytest.mark.parametrize("size", [(20, 16), (8, 16), (16,)])
def test_refused_sizes(size):
    with pytest.raises(ValueError, match="multiples of 16"):
        ConvolutionTokens(size)


def test_batches_are_full():
    data = ImageBatches(IMAGES, 16)
    assert len(data) == 2 and data[0].shape == (16, 32, 16)
    assert len(ImageBatches(IMAGES[:5], 16)) == 1
