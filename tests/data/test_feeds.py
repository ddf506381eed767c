"""`fit` gives the same numbers on arrays, `tf.data`, `PyDataset`, grain and PyTorch's `DataLoader`."""

import keras
import numpy as np
import pytest

from contrast.data import torch_collate, views_from_grain, views_from_torch
from tests.case import to_numpy
from tests.models.schemes import ALL, CAPTIONS, IMAGES, LABELS, VIEWS, data, make

SIZE = 4


def rows(arrays, index):
    return keras.tree.map_structure(lambda array: array[index], arrays)


class Rows:
    """Single elements, as grain and PyTorch read them."""

    def __init__(self, arrays):
        self.arrays = arrays

    def __len__(self):
        return len(keras.tree.flatten(self.arrays)[0])

    def __getitem__(self, index):
        return rows(self.arrays, index)


def py_dataset(arrays):
    class Batches(keras.utils.PyDataset):
        def __len__(self):
            return len(Rows(arrays)) // SIZE

        def __getitem__(self, index):
            return rows(arrays, slice(index * SIZE, (index + 1) * SIZE))

    return Batches()


def tf_data(arrays):
    tf = pytest.importorskip("tensorflow")
    return tf.data.Dataset.from_tensor_slices(arrays).batch(SIZE)


def grain_data(arrays):
    return pytest.importorskip("grain").MapDataset.source(Rows(arrays)).batch(SIZE)


def grain_loader(arrays):
    grain = pytest.importorskip("grain")
    sampler = grain.samplers.IndexSampler(len(Rows(arrays)), num_epochs=1)
    return grain.DataLoader(
        data_source=Rows(arrays), sampler=sampler, operations=[grain.transforms.Batch(SIZE)], worker_count=0
    )


def torch_loader(arrays):
    torch = pytest.importorskip("torch")
    return torch.utils.data.DataLoader(Rows(arrays), SIZE, collate_fn=torch_collate)


FEEDS = {feed.__name__: feed for feed in (py_dataset, tf_data, grain_data, grain_loader, torch_loader)}


def trainer(name, x, y=None):
    """`train(feed)`: losses of two epochs and the weights after them, from the same state in each call."""
    keras.utils.set_random_seed(0)
    model = make(name)
    model.compile(keras.optimizers.SGD(0.1))
    options = {"shuffle": False, "verbose": 0}
    model.fit(x, y, batch_size=SIZE, **options)
    variables = [*model.variables, *model.optimizer.variables]
    state = [to_numpy(variable) for variable in variables]
    arrays = (x, y) if y is not None else (x,) if isinstance(x, tuple) else x

    def train(feed=None):
        for variable, value in zip(variables, state, strict=True):
            variable.assign(value)
        if feed is None:
            history = model.fit(x, y, batch_size=SIZE, epochs=2, **options).history
        else:
            history = model.fit(FEEDS[feed](arrays), epochs=2, **options).history
        return history["loss"], [to_numpy(variable) for variable in model.trainable_variables]

    return train


def assert_same(actual, expected):
    np.testing.assert_allclose(actual[0], expected[0], rtol=1e-5)
    for ours, theirs in zip(actual[1], expected[1], strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


def test_a_scheme_trains_alike_on_all_feeds():
    train = trainer("SimCLR", VIEWS)
    expected = train()
    assert expected[0][0] != expected[0][1]
    for feed in FEEDS:
        assert_same(train(feed), expected)


def test_pairs_with_ids_keep_their_structure():
    train = trainer("DualEncoder", (IMAGES, CAPTIONS), LABELS)
    expected = train()
    for feed in ("grain_data", "torch_loader"):
        assert_same(train(feed), expected)


@pytest.mark.once
@pytest.mark.parametrize(("number", "name"), list(enumerate(ALL)))
def test_each_scheme_has_a_feed(number, name):
    arguments = name, data(name), LABELS if number % 2 or name == "SupCon" else None
    expected = trainer(*arguments)()
    assert_same(trainer(*arguments)(list(FEEDS)[number % len(FEEDS)]), expected)


def shift(samples, generator):
    return samples + generator.normal(0, 0.01, samples.shape)


@pytest.mark.once
@pytest.mark.parametrize("ids", [None, LABELS])
def test_views_from_grain(ids):
    grain = pytest.importorskip("grain")
    samples = np.arange(32, dtype="float32").reshape(8, 4)
    source = grain.MapDataset.source(Rows(samples if ids is None else (samples, ids))).repeat(2)
    batches = list(views_from_grain(source, shift, 3, seed=1).batch(SIZE))
    again = list(views_from_grain(source, shift, 3, seed=1).batch(SIZE))
    views = [batch if ids is None else batch[0] for batch in batches]
    assert [view.shape for view in views] == [(SIZE, 3, 4)] * 4
    np.testing.assert_array_equal(np.round(views[1][:, 0]), samples[SIZE:])
    assert (views[0][:, 0] != views[0][:, 1]).all()
    assert (views[0] != views[2]).all()  # the next epoch draws anew
    for one, other in zip(keras.tree.flatten(batches), keras.tree.flatten(again), strict=True):
        np.testing.assert_array_equal(one, other)
    if ids is not None:
        np.testing.assert_array_equal(batches[1][1], ids[SIZE:])


@pytest.mark.once
@pytest.mark.parametrize("ids", [None, LABELS])
def test_views_from_torch(ids):
    torch = pytest.importorskip("torch")
    samples = np.arange(32, dtype="float32").reshape(8, 4)
    dataset = views_from_torch(
        Rows(samples if ids is None else (samples, ids)), lambda x: torch.from_numpy(x) + torch.rand(4) / 4
    )
    (views, *rest), _ = torch.utils.data.DataLoader(dataset, SIZE, collate_fn=torch_collate)
    assert len(dataset) == 8 and tuple(views.shape) == (SIZE, 2, 4)
    np.testing.assert_array_equal(np.floor(views[:, 1]), samples[:SIZE])
    assert (views[:, 0] != views[:, 1]).all()
    assert [part.tolist() for part in rest] == ([] if ids is None else [ids[:SIZE].tolist()])


@pytest.mark.once
def test_a_collated_batch_is_made_of_tuples():
    pytest.importorskip("torch")
    assert isinstance(torch_collate([np.zeros(3), np.ones(3)]), tuple)
    batch = torch_collate([((np.zeros(3), {"ids": np.zeros(2)}), 5)] * 2)
    assert isinstance(batch, tuple) and isinstance(batch[0], tuple)
    assert batch[0][1]["ids"].shape == (2, 2) and batch[1].tolist() == [5, 5]


@pytest.mark.once
@pytest.mark.parametrize(
    ("make_data", "error", "says"),
    [
        (lambda: views_from_grain(IMAGES, shift), TypeError, "grain.MapDataset"),
        (lambda: views_from_grain(iter(IMAGES), shift, views=0), ValueError, "views must be at least 1"),
        (lambda: views_from_torch(iter(IMAGES), shift), TypeError, "length and an index"),
        (lambda: views_from_torch(IMAGES, shift, views=0), ValueError, "views must be at least 1"),
        (lambda: views_from_torch([(1, 2, 3)], shift)[0], ValueError, "got 3 parts"),
    ],
)
def test_what_is_no_data_set_is_refused(make_data, error, says):
    with pytest.raises(error, match=says):
        make_data()
