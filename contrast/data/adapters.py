"""Views and pairs from `tf.data`, on any backend; TensorFlow is imported when a function is called."""


def views_from_tf_data(dataset, augmentation, views=2):
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


def pairs_from_tf_data(first, second, ids=None):
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


def _check(dataset, tf):
    if not isinstance(dataset, tf.data.Dataset):
        raise TypeError(f"dataset must be a tf.data.Dataset, got {type(dataset).__name__}.")
