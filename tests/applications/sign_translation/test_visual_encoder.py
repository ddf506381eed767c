import keras
import numpy as np
import pytest

from applications.sign_translation.architecture import Architecture
from applications.sign_translation.visual_encoder import VisualEncoder
from tests.case import assert_close, to_numpy


def dense_encoder(**options):
    options = {"dim": 8, "depth": 1, "heads": 2, "max_frames": 40, **options}
    return VisualEncoder(keras.layers.Dense(5), **options)


def clips_of(lengths, count, width=3, seed=0):
    frames = np.random.default_rng(seed).normal(size=(len(lengths), count, width)).astype("float32")
    return {"frames": frames, "frame_mask": np.arange(count) < np.asarray(lengths)[:, None]}


@pytest.mark.parametrize("training", [False, True])
def test_padding_changes_nothing(training):
    encoder = dense_encoder(sign_embedding=True)
    short = clips_of([9, 12], 12)
    frames = np.concatenate([short["frames"], np.full((2, 8, 3), 50.0, "float32")], axis=1)
    frames[0, 9:] = -70.0
    long = {"frames": frames, "frame_mask": np.arange(20) < np.array([[9], [12]])}
    ours, theirs = (to_numpy(encoder(x, training=training)) for x in (short, long))
    mask = to_numpy(encoder.token_mask(short["frame_mask"]))
    assert mask.sum(axis=1).tolist() == [4, 4]
    np.testing.assert_allclose(theirs[:, : ours.shape[1]][mask], ours[mask], atol=1e-5)
    assert not theirs[:, 4:].any()


def test_official_normalization_counts_padding():
    encoder = dense_encoder(masked_normalization=False)
    short, long = clips_of([9, 12], 12), clips_of([9, 12], 24)
    long["frames"][:, :12] = short["frames"]
    ours, theirs = (to_numpy(encoder(x, training=True)) for x in (short, long))
    assert np.abs(ours - theirs[:, : ours.shape[1]]).max() > 1e-3
    ours, theirs = (to_numpy(encoder(x)) for x in (short, long))
    np.testing.assert_allclose(theirs[:, : ours.shape[1]], ours, atol=1e-5)


@pytest.mark.parametrize("length", [1, 2, 5, 40])
def test_any_length(length):
    encoder = dense_encoder()
    clip = clips_of([length], length)
    states = encoder(clip)
    assert tuple(states.shape) == (1, -(-length // 4) + 1, 8)
    assert tuple(encoder.compute_output_shape({"frames": clip["frames"].shape})) == tuple(states.shape)
    assert np.isfinite(to_numpy(states)).all()
    assert to_numpy(encoder.token_mask(clip["frame_mask"])).all()


def test_bytes_and_floats_are_the_same_frames():
    encoder = Architecture.small(9, (8, 8, 1), dim=8, depth=1, heads=2).build_visual_encoder(False)
    frames = np.random.default_rng(0).integers(0, 256, (2, 6, 8, 8, 1), dtype="uint8")
    mask = np.ones((2, 6), bool)
    bytes_, floats = (
        encoder({"frames": x, "frame_mask": mask}) for x in (frames, frames.astype("float32") / 255)
    )
    assert_close(floats, to_numpy(bytes_))


def test_vector_in_front():
    encoder = dense_encoder()
    clips = clips_of([9, 12], 12)
    tokens, mask = encoder.signs(clips)
    states, with_first = encoder.encode(tokens, mask, first=np.arange(8, dtype="float32"))
    assert tuple(states.shape) == (2, tokens.shape[1] + 1, 8)
    assert to_numpy(with_first)[:, 0].all()
    other, _ = encoder.encode(tokens, mask, first=-np.arange(8, dtype="float32"))
    assert np.abs(to_numpy(states - other)[:, 0]).max() > 1e-3


def test_config():
    encoder = dense_encoder(sign_embedding=True, dropout=0.1, seed=3)
    copy = VisualEncoder.from_config(encoder.get_config())
    assert copy.get_config() == encoder.get_config()


@pytest.mark.parametrize(
    ("inputs", "words"),
    [
        (clips_of([3], 41), "max_frames=40 frames, got 41"),
        ({"frames": np.zeros((2, 4, 3)), "frame_mask": np.ones((2, 5), bool)}, "got 4 and 5"),
        ({"frames": np.zeros((2, 4)), "frame_mask": np.ones((2, 4), bool)}, "frames must be"),
    ],
)
def test_bad_clips(inputs, words):
    encoder = dense_encoder()
    encoder.build({"frames": (None, 8, 3)})
    with pytest.raises(ValueError, match=words):
        encoder(inputs)


def test_frame_encoder_of_the_paper():
    """ResNet-18 without its classifier, on frames of 224 pixels."""
    full = Architecture.full_size(2454)
    encoder = full.build_frame_encoder()
    trained = sum(int(np.prod(weight.shape)) for weight in encoder.trainable_variables)
    assert trained == 11_176_512
    assert encoder.compute_output_shape((None, *full.frame_shape)) == (None, 512)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"frame_encoder": "vgg"}, "frame_encoder must be one of"),
        ({"frame_encoder": "dense"}, "frame_shape must be \\(features,\\)"),
        ({"frame_encoder": "convolutions", "frame_shape": (4, 32, 1)}, "at least 8 pixels"),
    ],
)
def test_bad_architectures(arguments, words):
    with pytest.raises(ValueError, match=words):
        Architecture(10, **arguments)
