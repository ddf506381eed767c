"""Sentences, series, spectrograms and graphs: what all layers keep, and what each one does."""

import keras
import numpy as np
import pytest

from contrast.augmentation import (
    MultiView,
    RandomAdjacencyDrop,
    RandomEdgeDrop,
    RandomFeatureMask,
    RandomFrequencyMask,
    RandomJitter,
    RandomPermutation,
    RandomScaling,
    RandomTimeCrop,
    RandomTimeMask,
    RandomTokenCropping,
    RandomTokenDeletion,
    RandomTokenMasking,
)
from contrast.data import ViewBatches
from tests.case import assert_close, check_saved, to_numpy

RNG = np.random.default_rng(0)
PAD, END, MASK = 0, 2, 4
SENTENCE = np.array([*range(10, 26), END, PAD, PAD, PAD], "int32")
SERIES = np.stack([np.arange(20) + 1, RNG.normal(size=20) + 9, np.ones(20)], axis=1).astype("float32")
EDGES = np.stack([RNG.integers(0, 9, 20), RNG.integers(9, 12, 20)], axis=1).astype("int32")
ADJACENCY = (1 + np.arange(12)[:, None] + np.arange(12)).astype("float32")  # symmetric, no zeros

# A layer of each kind and one sample for it.
LAYERS = {
    "RandomTokenDeletion": (lambda **k: RandomTokenDeletion(0.3, kept_ids=(END,), **k), SENTENCE),
    "RandomTokenCropping": (lambda **k: RandomTokenCropping((0.3, 0.8), kept_ids=(END,), **k), SENTENCE),
    "RandomTokenMasking": (lambda **k: RandomTokenMasking(MASK, 0.3, kept_ids=(END,), **k), SENTENCE),
    "RandomJitter": (lambda **k: RandomJitter(0.1, **k), SERIES),
    "RandomScaling": (lambda **k: RandomScaling(0.1, **k), SERIES),
    "RandomPermutation": (lambda **k: RandomPermutation(4, **k), SERIES),
    "RandomTimeCrop": (lambda **k: RandomTimeCrop(5, **k), SERIES),
    "RandomTimeMask": (lambda **k: RandomTimeMask(6, 2, **k), SERIES),
    "RandomFrequencyMask": (lambda **k: RandomFrequencyMask(6, 2, "mean", **k), SERIES.T),
    "RandomAdjacencyDrop": (lambda **k: RandomAdjacencyDrop(0.3, **k), ADJACENCY),
    "RandomEdgeDrop": (lambda **k: RandomEdgeDrop(0.3, nodes=12, **k), EDGES),
    "RandomFeatureMask": (lambda **k: RandomFeatureMask(0.3, **k), SERIES.T),
}
CHANGED = ("RandomTimeCrop", "RandomEdgeDrop")  # another shape than the input's


def batch_of(sample):
    return np.repeat(sample[None], 16, axis=0)


def many(name, batches=16):
    """Outputs for many copies of the sample, `(256, ...)`, all in batches of one shape."""
    make, sample = LAYERS[name]
    layer = make(seed=5)
    return np.concatenate([to_numpy(layer(batch_of(sample), training=True)) for _ in range(batches)])


@pytest.mark.parametrize("name", LAYERS)
def test_samples_are_drawn_apart_and_by_the_seed(name):
    make, sample = LAYERS[name]
    copies = batch_of(sample)
    layer = make(seed=5)
    outputs = to_numpy(layer(copies, training=True))
    assert len(np.unique(outputs.reshape(16, -1), axis=0)) >= (5 if name == "RandomTimeCrop" else 12)
    assert outputs.shape == tuple(layer.compute_output_shape(copies.shape))
    integers = copies.dtype.kind == "i" and name != "RandomEdgeDrop"
    assert outputs.dtype == ("int32" if integers else "float32")

    others = copies.copy()
    others[3] = others[3][::-1]
    again = to_numpy(make(seed=5)(others, training=True))
    np.testing.assert_array_equal(np.delete(again, 3, axis=0), np.delete(outputs, 3, axis=0))
    assert name == "RandomEdgeDrop" or not np.array_equal(again[3], outputs[3])

    assert not np.array_equal(to_numpy(layer(copies, training=True)), outputs)
    assert not np.array_equal(to_numpy(make(seed=600)(copies, training=True)), outputs)
    copy = type(layer).from_config(layer.get_config())
    assert copy.get_config() == layer.get_config()
    np.testing.assert_array_equal(to_numpy(copy(copies)), outputs)  # draws unless told otherwise

    still = to_numpy(layer(copies, training=False))
    if name not in CHANGED:
        np.testing.assert_array_equal(still, copies)


def test_all_of_them_inside_fit_and_saved(tmp_path):
    """One compiled step holds every layer; at inference the model is a function of its input."""
    inputs, outputs = [], []
    for make, sample in LAYERS.values():
        inputs.append(keras.Input(sample.shape, dtype=str(sample.dtype)))
        output = make(seed=5)(inputs[-1])
        assert output.shape[0] is None
        outputs.append(keras.layers.Flatten()(keras.ops.cast(output, "float32")))
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.Concatenate()(outputs)))
    samples = [batch_of(sample) for _, sample in LAYERS.values()]
    model.compile(keras.optimizers.SGD(1e-9), loss="mse")
    history = model.fit(
        samples, np.zeros((16, 2), "float32"), batch_size=16, epochs=2, shuffle=False, verbose=0
    )
    first, second = history.history["loss"]
    assert np.isfinite(first) and first != second
    assert len(np.unique(model.predict(samples, verbose=0).round(3), axis=0)) == 1
    check_saved(model, samples, tmp_path)


@pytest.mark.parametrize("name", ["RandomScaling", "RandomTimeMask", "RandomEdgeDrop"])
def test_half_precision(name):
    make, sample = LAYERS[name]
    outputs = make(seed=1, dtype="mixed_bfloat16")(batch_of(sample), training=True)
    assert keras.backend.standardize_dtype(outputs.dtype) == "bfloat16"


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="layers of ops run in tf.data there only")
def test_in_tf_data():
    import tensorflow as tf

    for name in ("RandomTokenDeletion", "RandomPermutation"):
        make, sample = LAYERS[name]
        layer, copies = make(seed=5), batch_of(sample)
        data = (
            tf.data.Dataset.from_tensor_slices(copies).batch(16).map(lambda x, f=layer: f(x, training=True))
        )
        outputs = next(iter(data)).numpy()
        assert outputs.shape == copies.shape and len(np.unique(outputs.reshape(16, -1), axis=0)) > 8


def test_deletion_keeps_order_and_ends():
    outputs = many("RandomTokenDeletion")
    words = outputs[(outputs != PAD) & (outputs != END)]
    assert len(words) / (256 * 16) == pytest.approx(0.7, abs=0.03)
    counts = [np.mean(words == word) for word in range(10, 26)]
    np.testing.assert_allclose(np.array(counts) * 16, 1, atol=0.2)
    for row in outputs:
        length = (row != PAD).sum()
        assert row[length - 1] == END and (row[length:] == PAD).all()
        assert (np.diff(row[: length - 1]) > 0).all()


def test_one_word_stays_and_an_empty_sentence_stays_empty():
    batch = batch_of(SENTENCE)
    batch[1:3] = PAD
    batch[2, 0] = END
    for layer in (
        RandomTokenDeletion(1.0, kept_ids=(END,)),
        RandomTokenCropping((1e-3, 1e-3), kept_ids=(END,)),
    ):
        outputs = to_numpy(layer(batch, training=True))
        assert (outputs[1:3] == batch[1:3]).all()
        assert 10 <= outputs[0, 0] < 26 and outputs[0, 1] == END and (outputs[0, 2:] == PAD).all()
        assert len(np.unique(outputs[3:, 0])) > 4


def test_crops_are_words_that_stand_together():
    outputs = many("RandomTokenCropping")
    lengths, starts = [], []
    for row in outputs:
        words = row[: (row != PAD).sum() - 1]
        assert row[len(words)] == END and (np.diff(words) == 1).all()
        lengths.append(len(words))
        starts.append(words[0] - 10)
    assert set(lengths) == set(range(5, 14))  # 0.3 and 0.8 of 16, rounded
    assert min(starts) == 0 and max(np.add(starts, lengths)) == 16
    assert len(set(starts)) > 8


def test_masking_has_its_rate_and_leaves_ends():
    outputs = many("RandomTokenMasking")
    masked = outputs == MASK
    np.testing.assert_array_equal(outputs[~masked], np.broadcast_to(SENTENCE, outputs.shape)[~masked])
    np.testing.assert_allclose(masked[:, :16].mean(axis=0), 0.3, atol=0.1)
    assert masked[:, :16].mean() == pytest.approx(0.3, abs=0.03) and not masked[:, 16:].any()


def test_views_of_sentences_keep_their_type():
    layer = MultiView([keras.layers.Identity(), RandomTokenMasking(MASK, 1.0)])
    views = to_numpy(layer(batch_of(SENTENCE), training=True))
    assert views.dtype == "int32" and views.shape == (16, 2, 20)
    np.testing.assert_array_equal(views[:, 0], batch_of(SENTENCE))
    assert (views[:, 1, :17] == MASK).all()
    symbolic = layer(keras.Input((20,), dtype="int32"))
    assert symbolic.dtype == "int32" and tuple(symbolic.shape) == (None, 2, 20)
    batches = ViewBatches(batch_of(SENTENCE), RandomTokenMasking(MASK, 1.0), batch_size=16)
    assert batches[0].dtype == "int32"


def test_dropout_alone_makes_two_views():
    from contrast.encoders import TextTransformer
    from contrast.layers import FoldViews

    encoder = TextTransformer(32, dim=8, depth=1, heads=2, dropout=0.2)
    embeddings = FoldViews(encoder)
    views = MultiView(keras.layers.Identity(), 2)(batch_of(SENTENCE), training=True)
    first, second = np.moveaxis(to_numpy(embeddings(views, training=True)), 1, 0)
    assert (np.abs(first - second).max(axis=1) > 1e-3).all()
    assert (np.abs(first - first[0]).max(axis=1) > 1e-3)[1:].all()
    first, second = np.moveaxis(to_numpy(embeddings(views, training=False)), 1, 0)
    assert_close(first, second, 1e-6)


def test_jitter_and_scaling_have_their_spread():
    noise = many("RandomJitter") - SERIES
    assert noise.std() == pytest.approx(0.1, rel=0.05) and abs(noise.mean()) < 0.01
    factors = many("RandomScaling") / SERIES
    assert np.ptp(factors, axis=1).max() < 1e-5
    assert factors.std() == pytest.approx(0.1, rel=0.1) and factors.mean() == pytest.approx(1, abs=0.02)
    assert abs(np.corrcoef(factors[:, 0, 0], factors[:, 0, 1])[0, 1]) < 0.3


def test_permutation_moves_whole_segments():
    steps = many("RandomPermutation")[:, :, 0].astype(int) - 1
    np.testing.assert_array_equal(np.sort(steps, axis=1), np.broadcast_to(np.arange(20), steps.shape))
    joints = (np.diff(steps, axis=1) != 1).sum(axis=1)
    assert joints.max() == 3 and joints.min() == 0
    # Of four segments each stands first in a quarter of the cases, and it begins anywhere.
    assert (steps[:, 0] == 0).mean() == pytest.approx(0.25, abs=0.08)
    assert len(np.unique(steps[:, 0])) == 20
    outputs = many("RandomPermutation", batches=1)
    order = outputs[:, :, 0].astype(int) - 1
    assert_close(outputs[0], SERIES[order[0]])  # channels move together


def test_time_crop_is_a_stretch_from_anywhere():
    steps = many("RandomTimeCrop")[:, :, 0].astype(int) - 1
    assert (np.diff(steps, axis=1) == 1).all()
    counts = np.bincount(steps[:, 0], minlength=16)
    assert len(counts) == 16 and counts.min() > 3 and counts.max() < 35
    still = to_numpy(RandomTimeCrop(5)(batch_of(SERIES), training=False))
    assert_close(still[0], SERIES[7:12])


@pytest.mark.parametrize("channels", [(), (2,)])
def test_masks_of_spectrograms(channels):
    image = np.broadcast_to((1 + np.arange(20 * 8).reshape(20, 8, *(1,) * len(channels))), (20, 8, *channels))
    copies = batch_of(image.astype("float32"))
    for layer, axis, width in ((RandomTimeMask(6, seed=1), 1, 6), (RandomFrequencyMask(3, seed=2), 2, 3)):
        outputs = np.concatenate([to_numpy(layer(copies, training=True)) for _ in range(16)])
        masked = outputs == 0
        np.testing.assert_array_equal(outputs[~masked], np.concatenate([copies] * 16)[~masked])
        lines = np.moveaxis(masked, axis, 1).reshape(256, image.shape[axis - 1], -1)
        assert (lines.all(axis=2) == lines.any(axis=2)).all()
        lines = lines[:, :, 0]
        assert (np.abs(np.diff(lines.astype(int), axis=1)).sum(axis=1) <= 2).all()
        widths = np.bincount(lines.sum(axis=1), minlength=width + 1)
        assert len(widths) == width + 1 and widths.min() > 128 / (width + 1)
        assert lines.any(axis=0).all()
    filled = to_numpy(RandomTimeMask(6, value="mean", seed=1)(copies, training=True))
    changed = filled != copies
    assert changed.any()
    np.testing.assert_allclose(filled[changed], copies[0].mean(), rtol=1e-5)


def test_adjacency_stays_symmetric():
    outputs = many("RandomAdjacencyDrop")
    kept = outputs != 0
    np.testing.assert_array_equal(outputs, np.where(kept, ADJACENCY, 0))
    np.testing.assert_array_equal(kept, kept.swapaxes(1, 2))
    assert kept[:, np.eye(12, dtype=bool)].all()
    upper = kept[:, np.triu(np.ones((12, 12), bool), 1)]
    assert upper.mean() == pytest.approx(0.7, abs=0.02)
    np.testing.assert_allclose(upper.mean(axis=0), 0.7, atol=0.12)
    directed = to_numpy(RandomAdjacencyDrop(0.3, symmetric=False)(batch_of(ADJACENCY), training=True))
    assert not np.array_equal(directed, directed.swapaxes(1, 2))


def test_edges_go_in_both_directions():
    once = np.unique(EDGES, axis=0)[:10]
    both = batch_of(np.concatenate([once, once[::-1, ::-1]]))
    layer = RandomEdgeDrop(0.3, nodes=12, seed=1)
    weights = np.concatenate([to_numpy(layer(both, training=True)) for _ in range(16)])
    assert set(np.unique(weights)) == {0, 1}
    np.testing.assert_array_equal(weights[:, :10], weights[:, :9:-1])
    assert weights.mean() == pytest.approx(0.7, abs=0.03)
    pairs = np.corrcoef(weights[:, :10].T) - np.eye(10)
    assert np.abs(pairs).max() < 0.3  # edges of one node are drawn apart
    single = to_numpy(RandomEdgeDrop(0.3, seed=1)(both, training=True))
    assert not np.array_equal(single[:, :10], single[:, :9:-1])
    assert (to_numpy(layer(both, training=False)) == 1).all()


def test_features_are_masked_for_the_whole_graph():
    outputs = many("RandomFeatureMask")
    gone = (outputs == 0).all(axis=1)
    np.testing.assert_array_equal(outputs, np.where(gone[:, None], 0, SERIES.T))
    assert gone.mean() == pytest.approx(0.3, abs=0.03)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: RandomTokenDeletion(1.5), "rate must be from 0 to 1, got 1.5"),
        (
            lambda: RandomTokenDeletion()(batch_of(SENTENCE).astype("float32")),
            "integer token ids, got float32",
        ),
        (lambda: RandomTokenDeletion()(SENTENCE), r"needs token ids \(batch, length\), .* got shape \(20,\)"),
        (lambda: RandomTokenCropping((0, 1)), "share must be"),
        (lambda: RandomTokenMasking(MASK, -1), "rate must be"),
        (lambda: RandomJitter(-1), "sigma must be at least 0, got -1"),
        (lambda: RandomScaling(-1), "sigma must be at least 0"),
        (lambda: RandomJitter()(SERIES), r"needs time series \(batch, time, channels\)"),
        (lambda: RandomPermutation(1), "segments must be at least 2, got 1"),
        (lambda: RandomPermutation(21)(batch_of(SERIES)), r"at least 21 steps.* got shape \(16, 20, 3\)"),
        (lambda: RandomTimeCrop(0), "length must be at least 1"),
        (lambda: RandomTimeCrop(21)(batch_of(SERIES)), "length must not exceed .* 20, got 21"),
        (lambda: RandomTimeMask(0), "width must be at least 1"),
        (lambda: RandomTimeMask(3, 0), "count must be at least 1"),
        (lambda: RandomTimeMask(3, value="median"), "a number or \"mean\", got 'median'"),
        (lambda: RandomTimeMask(21)(batch_of(SERIES)), "must not exceed the spectrogram's 20 steps, got 21"),
        (
            lambda: RandomFrequencyMask(4)(batch_of(SERIES)),
            "must not exceed the spectrogram's 3 bands, got 4",
        ),
        (lambda: RandomFrequencyMask(2)(SERIES), "needs spectrograms"),
        (lambda: RandomAdjacencyDrop(2), "rate must be"),
        (lambda: RandomAdjacencyDrop()(batch_of(SERIES)), "adjacency matrices .* got shape"),
        (lambda: RandomEdgeDrop(nodes=50000), "nodes must be None or from 1 to 46340, got 50000"),
        (lambda: RandomEdgeDrop()(batch_of(SERIES)), r"edges \(batch, edges, 2\), got shape"),
        (lambda: RandomEdgeDrop()(batch_of(EDGES).astype("float32")), "integer node numbers, got float32"),
        (lambda: RandomFeatureMask(2), "rate must be"),
    ],
)
def test_bad_input(make, says):
    with pytest.raises(ValueError, match=says):
        make()
