"""Views, pairs and classes from `tf.data`, on any backend; TensorFlow is imported at the first call."""

from collections.abc import Callable
from typing import Any


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
    if views < 1:
        raise ValueError(f"views must be at least 1, got {views}.")

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

    def number(start, first, second):
        rows = tf.shape(first)[0]
        return start + rows, ((first, second), start + tf.range(rows))

    return pairs.scan(tf.constant(0), lambda start, pair: number(start, *pair))


def class_balanced_from_tf_data(
    dataset: Any,
    classes_per_batch: int = 8,
    samples_per_class: int = 4,
    shuffle_groups: int = 64,
    seed: int = 0,
) -> Any:
    """Regroups a `tf.data.Dataset` of single samples into batches of several samples of several classes.

    It is read once an epoch, in a stream: samples wait until there are M of their class, then P such groups
    make a batch. In the mean a batch holds P different classes where there are many; a class may have two
    groups in it. Samples of which there are fewer than M are left out in this epoch. For exactly P different
    classes and equal numbers there is `contrast.data.ClassBalancedBatches`, which wants an array.

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


def _check(dataset, tf):
    if not isinstance(dataset, tf.data.Dataset):
        raise TypeError(f"dataset must be a tf.data.Dataset, got {type(dataset).__name__}.")
