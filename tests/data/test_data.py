import keras
import numpy as np
import pytest

from contrast.data import PairBatches, ViewBatches, pairs_from_tf_data, views_from_tf_data
from contrast.layers import FoldViews
from contrast.losses import InfoNCE, NTXent

SAMPLES = np.arange(40, dtype="float32").reshape(10, 4)


def noise(samples, generator):
    return samples + generator.normal(0, 0.01, samples.shape)


def epoch(batches):
    return np.concatenate([np.asarray(batches[i]) for i in range(len(batches))])


def test_views_show_the_same_sample_and_differ():
    views = epoch(ViewBatches(SAMPLES, noise, batch_size=4))
    assert views.shape == (10, 2, 4)
    np.testing.assert_array_equal(np.round(views[:, 0]), np.round(views[:, 1]))
    assert (views[:, 0] != views[:, 1]).all()


def test_order_and_noise_are_a_function_of_seed_and_epoch():
    first, again, other = (ViewBatches(SAMPLES, noise, batch_size=4, seed=seed) for seed in (1, 1, 2))
    one = epoch(first)
    np.testing.assert_array_equal(one, epoch(again))
    assert not np.array_equal(one, epoch(other))
    first.on_epoch_end()
    two = epoch(first)
    assert not np.array_equal(one, two)
    np.testing.assert_array_equal(np.sort(np.round(one[:, 0, 0])), np.sort(np.round(two[:, 0, 0])))
    first.epoch = 0
    np.testing.assert_array_equal(one, epoch(first))


def test_ids_follow_their_samples():
    batches = ViewBatches(SAMPLES, noise, ids=np.arange(10), batch_size=3)
    for views, ids in (batches[i] for i in range(len(batches))):
        np.testing.assert_array_equal(np.round(views[:, 0, 0]), 4 * ids)


def test_a_keras_layer_augments():
    layer = keras.layers.GaussianNoise(0.01)
    views = ViewBatches(SAMPLES, layer, batch_size=10, shuffle=False)[0]
    assert (views[:, 0] != views[:, 1]).any()
    np.testing.assert_allclose(views[:, 1], SAMPLES, atol=0.1)


def test_last_batch():
    assert [len(ViewBatches(SAMPLES, noise, batch_size=4)[i]) for i in range(3)] == [4, 4, 2]
    assert len(ViewBatches(SAMPLES, noise, batch_size=4, drop_remainder=True)) == 2
    with pytest.raises(IndexError):
        ViewBatches(SAMPLES, noise, batch_size=4)[3]


def test_fit_on_views():
    encoder = FoldViews(keras.layers.Dense(3))
    model = keras.Sequential([encoder])
    model.compile(keras.optimizers.Adam(0.1), loss=NTXent())
    history = model.fit(ViewBatches(SAMPLES, noise, batch_size=4), epochs=3, verbose=0)
    assert np.isfinite(history.history["loss"]).all()


def test_fit_on_pairs():
    first, second = keras.Input((4,)), keras.Input((2,))
    embeddings = keras.ops.stack([keras.layers.Dense(3)(first), keras.layers.Dense(3)(second)], axis=1)
    model = keras.Model((first, second), embeddings)
    model.compile("adam", loss=InfoNCE())
    batches = PairBatches(SAMPLES, SAMPLES[:, :2], batch_size=5)
    history = model.fit(batches, verbose=0)
    assert np.isfinite(history.history["loss"]).all()


def test_pairs_stay_together():
    batches = PairBatches(SAMPLES, SAMPLES + 100, batch_size=3)
    for (first, second), ids in (batches[i] for i in range(len(batches))):
        np.testing.assert_array_equal(first + 100, second)
        np.testing.assert_array_equal(first[:, 0], 4 * ids)


def test_views_from_tf_data():
    tf = pytest.importorskip("tensorflow")
    dataset = tf.data.Dataset.from_tensor_slices((SAMPLES, np.arange(10))).batch(4)
    views, ids = next(iter(views_from_tf_data(dataset, lambda x: x + tf.random.normal(tf.shape(x)), 3)))
    assert views.shape == (4, 3, 4)
    assert (views[:, 0].numpy() != views[:, 1].numpy()).all()
    np.testing.assert_array_equal(ids, np.arange(4))
    assert next(iter(views_from_tf_data(dataset.map(lambda x, _: x), lambda x: x))).shape == (4, 2, 4)


def test_pairs_from_tf_data_are_numbered_over_the_data_set():
    tf = pytest.importorskip("tensorflow")
    data = tf.data.Dataset.from_tensor_slices(SAMPLES).batch(4)
    items = list(pairs_from_tf_data(data, data))
    np.testing.assert_array_equal(np.concatenate([ids for _, ids in items]), np.arange(10))
    given = tf.data.Dataset.from_tensor_slices(np.arange(10) // 2).batch(4)
    (first, second), ids = next(iter(pairs_from_tf_data(data, data, given)))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_array_equal(ids, [0, 0, 1, 1])


@pytest.mark.parametrize(
    ("make", "error", "says"),
    [
        (lambda: ViewBatches(SAMPLES[:0], noise), ValueError, "at least 1"),
        (lambda: ViewBatches(SAMPLES, noise, ids=list("abcdefghij")), TypeError, "np.unique"),
        (lambda: ViewBatches(SAMPLES, noise, ids=np.arange(9)), ValueError, "same length"),
        (lambda: ViewBatches(SAMPLES, noise, views=0), ValueError, "views"),
        (lambda: ViewBatches(SAMPLES, noise, batch_size=0), ValueError, "batch_size"),
        (lambda: ViewBatches(SAMPLES, noise, batch_size=11, drop_remainder=True), ValueError, "exceeds"),
        (
            lambda: ViewBatches([np.zeros((4, 4)), np.zeros((5, 4))], noise),
            ValueError,
            r"one shape, got \(4, 4\), \(5",
        ),
        (lambda: ViewBatches(SAMPLES, lambda x, _: x[:1])[0], ValueError, "one view a sample"),
        (lambda: PairBatches(SAMPLES, SAMPLES[:3]), ValueError, "same length"),
        (lambda: views_from_tf_data(SAMPLES, noise), TypeError, "tf.data.Dataset"),
    ],
)
def test_bad_input(make, error, says):
    with pytest.raises(error, match=says):
        make()
