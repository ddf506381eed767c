"""Views, pairs and classes from `tf.data`, and views from grain and PyTorch's data sets, on any backend.

TensorFlow is imported at the first call that needs it. All other forms of data that `fit` takes go in as they
are: a data set yields `x`, `(x, ids)` or, where x is a pair, `((first, second), ids)`; a `DataLoader` wants
`torch_collate` for it.
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np


def views_from_tf_data(dataset: Any, augmentation: Callable[..., Any], views: int = 2) -> Any:
    """Turns a batched `tf.data.Dataset` of samples into one of views `(batch, views, ...)`.

    Args:
        dataset: yields samples `(batch, ...)`, or pairs of samples and integer ids `(batch,)`.
        augmentation: function of TensorFlow tensors `(batch, ...)` that draws a new view at each call.
        views: how many views of each sample.

    Returns:
        A `tf.data.Dataset` of views, or of pairs of views and ids, ready for `model.fit`.

    Raises:
        TypeError: if `dataset` is no `tf.data.Dataset`.
        ValueError: if `views` is below 1 or an element has more than two parts.
    """
    import tensorflow as tf

    _check(dataset, tf)
    _check_views(views)

    def views_of(samples):
        return tf.stack([augmentation(samples) for _ in range(views)], axis=1)

    if not isinstance(dataset.element_spec, tuple):
        return dataset.map(views_of, num_parallel_calls=tf.data.AUTOTUNE)
    if len(dataset.element_spec) != 2:
        raise ValueError(f"dataset must yield samples or (samples, ids), got {dataset.element_spec}.")
    return dataset.map(lambda samples, ids: (views_of(samples), ids), num_parallel_calls=tf.data.AUTOTUNE)


def pairs_from_tf_data(first: Any, second: Any, ids: Any = None) -> Any:
    """Zips batched `tf.data.Dataset` objects of matching rows into `((first, second), ids)`.

    Args:
        first, second: yield matching batches.
        ids: yields the batches' integer ids, or `None`: every row is then its own, numbered over the data
            set.

    Returns:
        A `tf.data.Dataset`, ready for `model.fit`.

    Raises:
        TypeError: if an argument is no `tf.data.Dataset`.
    """
    import tensorflow as tf

    for dataset in (first, second, *(() if ids is None else (ids,))):
        _check(dataset, tf)
    pairs = tf.data.Dataset.zip((first, second))
    if ids is not None:
        return tf.data.Dataset.zip((pairs, ids))

    def number(start, pair):
        rows = tf.shape(pair[0])[0]
        return start + rows, (pair, start + tf.range(rows))

    return pairs.scan(tf.constant(0), number)


def class_balanced_from_tf_data(
    dataset: Any,
    classes_per_batch: int = 8,
    samples_per_class: int = 4,
    shuffle_groups: int = 64,
    seed: int = 0,
) -> Any:
    """Regroups a `tf.data.Dataset` of single samples into batches of several samples of several classes.

    It is read once an epoch, in a stream: samples wait until there are M of their class, then P such groups
    make a batch. Where there are many classes, most batches hold P different ones; a class may have two
    groups in a batch. Samples that fill no group, and groups that fill no batch, are left out in this epoch.
    For exactly P different classes and equal numbers there is `contrast.data.ClassBalancedBatches`, which
    wants an array.

    Args:
        dataset: yields pairs of a sample and an integer id, not batched; shuffle it to have other groups in
            each epoch.
        classes_per_batch: the P groups of a batch, at least 2.
        samples_per_class: the M samples of a group.
        shuffle_groups: how many groups are held to draw from.
        seed: of the drawing.

    Returns:
        A `tf.data.Dataset` of samples `(P * M, 1, ...)` and ids `(P * M,)`, ready for `model.fit`.

    Raises:
        TypeError: if `dataset` is no `tf.data.Dataset`, or ids are not integers.
        ValueError: if elements are no pairs, ids no scalars, or a number is too small.
    """
    import tensorflow as tf

    _check(dataset, tf)
    if classes_per_batch < 2 or samples_per_class < 1:
        raise ValueError(
            "classes_per_batch must be at least 2 and samples_per_class at least 1, got "
            f"{classes_per_batch} and {samples_per_class}."
        )
    spec = dataset.element_spec
    if not isinstance(spec, tuple) or len(spec) != 2 or spec[1].shape.rank != 0:
        raise ValueError(f"dataset must yield single (sample, id), not batched, got {spec}.")
    if not spec[1].dtype.is_integer:
        raise TypeError(
            f"ids must be integers, got {spec[1].dtype.name}. Number the classes first, for example with "
            "tf.keras.layers.StringLookup."
        )
    groups = dataset.group_by_window(
        key_func=lambda sample, one: tf.cast(one, tf.int64),
        reduce_func=lambda key, window: window.batch(samples_per_class, drop_remainder=True),
        window_size=samples_per_class,
    )
    batches = groups.shuffle(shuffle_groups, seed=seed).batch(classes_per_batch, drop_remainder=True)

    def merged(samples, ids):
        count = classes_per_batch * samples_per_class
        shape = tf.concat([[count, 1], tf.shape(samples)[2:]], axis=0)
        merged_samples = tf.reshape(samples, shape)
        merged_samples.set_shape([count, 1, *samples.shape[2:]])
        return merged_samples, tf.reshape(ids, [count])

    return batches.map(merged, num_parallel_calls=tf.data.AUTOTUNE)


def views_from_grain(dataset: Any, augmentation: Callable[..., Any], views: int = 2, seed: int = 0) -> Any:
    """Turns a grain data set of single samples into one of their views.

    Every draw is a function of the seed and of the element's place. `fit` begins a data set anew in each
    epoch, and would draw the same again: repeat it first, and say how many steps an epoch has:

        samples = grain.MapDataset.source(images).shuffle(seed=0).repeat()
        views = contrast.data.views_from_grain(samples, augmentation).batch(256, drop_remainder=True)
        model.fit(views, steps_per_epoch=len(images) // 256, epochs=10)

    A data set that feeds a scheme with its own augmentation needs no adapter.

    Args:
        dataset: a `grain.MapDataset` or `grain.IterDataset` that yields a sample, or a pair of a sample and
            an integer id, not batched.
        augmentation: `augmentation(sample, generator)` returns a view, an array, drawing from the NumPy
            generator that it is given.
        views: how many views of each sample.
        seed: non-negative int.

    Returns:
        The same kind of data set, of views `(views, ...)` or of pairs of them and an id. With grain's
        `batch` it is ready for `model.fit`; `mp_prefetch` draws in processes of its own.

    Raises:
        TypeError: if `dataset` is no data set of grain.
        ValueError: if `views` is below 1, or, once it is read, an element has more than two parts.
    """
    _check_views(views)
    if not any(kind.__module__.partition(".")[0] == "grain" for kind in type(dataset).__mro__) or not hasattr(
        dataset, "random_map"
    ):
        raise TypeError(
            f"dataset must be a grain.MapDataset or grain.IterDataset, got {type(dataset).__name__}."
        )

    def drawn(element, generator):
        sample, ids = _sample_and_ids(element)
        each = np.stack([augmentation(sample, generator) for _ in range(views)])
        return each if ids is None else (each, ids)

    return dataset.random_map(drawn, seed=seed)


def views_from_torch(dataset: Any, augmentation: Callable[..., Any], views: int = 2) -> Any:
    """Turns a PyTorch data set of single samples into one of their views.

        views = contrast.data.views_from_torch(dataset, augmentation)
        loader = torch.utils.data.DataLoader(
            views, batch_size=256, shuffle=True, num_workers=2, collate_fn=contrast.data.torch_collate
        )
        model.fit(loader)

    Args:
        dataset: what a `DataLoader` takes, with length and index: it yields a sample, or a pair of a sample
            and an integer id. Samples are laid out as Keras reads them, `(height, width, channels)` unless
            told otherwise.
        augmentation: `augmentation(sample)` returns a view, an array or a tensor; it draws from PyTorch's
            generator, as torchvision's transforms do, which `DataLoader` seeds in each of its workers.
        views: how many views of each sample.

    Returns:
        A data set of views `(views, ...)`, arrays, or of pairs of them and an id.

    Raises:
        TypeError: if `dataset` has no length or no index.
        ValueError: if `views` is below 1, or, once it is read, an element has more than two parts.
    """
    _check_views(views)
    if not hasattr(dataset, "__getitem__") or not hasattr(dataset, "__len__"):
        raise TypeError(
            f"dataset must have a length and an index, got {type(dataset).__name__}. An iterable data set "
            "makes its views itself."
        )
    return _TorchViews(dataset, augmentation, views)


def torch_collate(elements: Any) -> Any:
    """Makes a batch that `fit` reads on every backend: PyTorch's own collation, with tuples.

    It is the `collate_fn` of a `torch.utils.data.DataLoader`. The usual one gives a bare tensor or lists,
    which `fit` takes on PyTorch; JAX and TensorFlow want tuples.

    Args:
        elements: list of what the data set yields: `x`, `(x,)`, `(x, id)`, or `((first, second), id)`.

    Returns:
        The tuple `(x,)` or `(x, ids)` of tensors; tuples within stay tuples, dicts stay dicts.
    """
    from torch.utils.data import default_collate

    batch = keras.tree.lists_to_tuples(default_collate(elements))
    return batch if isinstance(batch, tuple) else (batch,)


class _TorchViews:
    """The views of a data set; workers of a `DataLoader` get a copy of it."""

    def __init__(self, dataset, augmentation, views):
        self.dataset, self.augmentation, self.views = dataset, augmentation, views

    def __len__(self):
        return len(self.dataset)

    def __getitem__(self, index):
        sample, ids = _sample_and_ids(self.dataset[index])
        drawn = np.stack([np.asarray(self.augmentation(sample)) for _ in range(self.views)])
        return drawn if ids is None else (drawn, ids)


def _sample_and_ids(element):
    """A sample and its id, or `None`."""
    if not isinstance(element, tuple | list):
        return element, None
    if len(element) > 2:
        raise ValueError(f"dataset must yield samples or (sample, id), got {len(element)} parts.")
    return element[0], element[1] if len(element) == 2 else None


def _check_views(views):
    if views < 1:
        raise ValueError(f"views must be at least 1, got {views}.")


def _check(dataset, tf):
    if not isinstance(dataset, tf.data.Dataset):
        raise TypeError(f"dataset must be a tf.data.Dataset, got {type(dataset).__name__}.")
