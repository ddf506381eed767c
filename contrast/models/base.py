"""What the training schemes have in common: views of the data, features and embeddings of them."""

import keras
from keras import ops

from contrast.layers.chunked_encoder import in_chunks
from contrast.models.heads import head_dim


class Scheme(keras.Model):
    """Base of the schemes that train an encoder on views of the same sample.

    Nothing in the library asks for this class: a model of your own takes `contrast.losses` and
    `contrast.layers` as they are. It settles what the schemes of `contrast.models` share.

    **Data.** With an `augmentation` the data are single samples `(batch, ...)`, and the views are drawn
    inside the step. Without one, the data are the views:

    - one array `(batch, views, ...)`, as `contrast.data.ViewBatches` makes them;
    - a pair `(view, view)`, or a longer tuple or list of views, each `(batch, ...)` or several side by side
      `(batch, views, ...)`, as `contrast.augmentation.MultiCrop` gives them; sizes may differ, large views
      come first. Views side by side want an encoder that is built: with another their rank is not known.

    Arrays go into `fit(x)` or `fit(x, ids)`. A data set (`PyDataset`, `tf.data`, generator) yields `x` or
    `(x, ids)`; where `x` itself is a pair it yields `((view, view),)` or `((view, view), ids)`, since Keras
    reads a bare pair as inputs and targets.

    **Calls.** `model(samples)` and `predict(samples)` give the encoder's features, which probes want; for
    views `(batch, views, ...)` the features of each. `embed(samples)` gives what the loss compares. In
    training a call draws the views and returns a dict, with the embeddings `(batch, views, dim)` computed
    once. `evaluate` and validation draw views too, and run the encoder in inference mode.

    A subclass defines `build_parts(features)`, which makes what comes behind the encoder, `outputs(views,
    training)`, and `compute_loss`, which begins with `self.outputs_of(x, y_pred, training)`.

    Args:
        encoder: a layer or model from samples `(batch, ...)` to features `(batch, dim)`, built or not. It
            stays `model.encoder`.
        augmentation: a layer that draws views: `contrast.augmentation.MultiView` or `MultiCrop`, or a layer
            that draws one view, which is then called twice. `None`: the data are views.
        projector: behind the encoder.
        encode_chunk: `None`, or the most views that run through the encoder at once: for batches whose
            activations do not fit. Loss and gradients are those of the whole batch, for one more forward
            pass; the teacher, where there is one, runs in chunks too. The encoder must not normalise over the
            batch; see `contrast.layers.encode_in_chunks`. Heads see the whole batch and may.

    Raises:
        ValueError: if the encoder has several outputs or none of shape `(batch, dim)`, data have another form
            than above, a batch of one meets normalisation over the batch, `encode_chunk` is below 1, or an
            encoder in chunks changes a weight when called, as batch normalisation does.
        TypeError: if the encoder is not a layer.
    """

    least_views, most_views = 2, None
    normalizes_batch = False

    def __init__(self, encoder, augmentation=None, projector=None, encode_chunk=None, **kwargs):
        super().__init__(**kwargs)
        check_encoder(encoder)
        self.encoder, self.augmentation, self.projector = encoder, augmentation, projector
        self.encode_chunk = encode_chunk
        self.run(encoder)  # refuses a bad size now

    def build(self, input_shape):
        self._data_shape = _as_lists(input_shape)
        self.sample_shape = self._shape_of_samples(input_shape)
        features = features_dim(self.encoder, (None, *self.sample_shape))
        self.build_parts(features)
        self.built = True

    def build_parts(self, features):
        """Makes and builds what comes behind the encoder, whose features have this width."""
        head_dim(self.projector, features)

    def get_build_config(self):
        return {"input_shape": self._data_shape}

    def build_from_config(self, config):
        shape = config["input_shape"]
        self.build([tuple(part) for part in shape] if isinstance(shape[0], list) else tuple(shape))

    def call(self, inputs, training=None):
        if training:
            return self.outputs(self.views(inputs), training=True)
        return self.features(inputs)

    def features(self, inputs):
        """The encoder's features of samples `(batch, ...)`, or of each of their views."""
        if isinstance(inputs, list | tuple):
            return [self.features(part) for part in inputs]
        if len(inputs.shape) == len(self.sample_shape) + 2:
            return over_views(self.run(self.encoder), inputs, training=False)
        return self.run(self.encoder)(inputs, training=False)

    def embed(self, samples):
        """Projected features of samples `(batch, ...)`, in inference mode: `(batch, dim)`."""
        return self.projector(self.run(self.encoder)(samples, training=False), training=False)

    def views(self, inputs):
        """The views of a batch of data: a tuple of `(batch, views, ...)`, one entry for each size."""
        views = inputs
        if self.augmentation is not None:
            if isinstance(inputs, list | tuple):
                raise ValueError(
                    f"{self.name} has an augmentation, which draws the views of samples (batch, ...); got a "
                    f"{type(inputs).__name__} of {len(inputs)}. Leave the augmentation out for data that are "
                    "views."
                )
            views = self.augmentation(inputs, training=True)
            if not isinstance(views, list | tuple) and len(views.shape) == len(inputs.shape):
                views = [views, self.augmentation(inputs, training=True)]
        groups = _grouped(views, len(self.sample_shape) + 1, self.name)
        self._check_views(groups)
        return groups

    def outputs(self, views, training):
        """What the loss needs of the views, as a dict with at least `"embeddings"`."""
        return {"embeddings": self.project(self.encode(views, training), training)}

    def outputs_of(self, x, y_pred, training):
        """In training `y_pred`; otherwise the outputs of views that are drawn now."""
        return y_pred if training else self.outputs(self.views(x), training=False)

    def encode(self, views, training):
        """Features of all views, `(batch, views, dim)`; each size runs through the encoder once."""
        return joined([over_views(self.run(self.encoder), group, training=training) for group in views])

    def run(self, encoder):
        """The encoder, or the teacher's, as a function that runs in chunks where `encode_chunk` says so."""
        return in_chunks(encoder, self.encode_chunk)

    def project(self, features, training):
        """Embeddings `(batch, views, dim)`."""
        return over_views(self.projector, features, training=training)

    def get_config(self):
        parts = {key: getattr(self, key) for key in ("encoder", "augmentation", "projector")}
        return {**super().get_config(), **serialized(parts), "encode_chunk": self.encode_chunk}

    @classmethod
    def from_config(cls, config):
        return cls(**deserialized(config))

    def _shape_of_samples(self, shape):
        """The shape of one view as the encoder sees it."""
        if self.augmentation is not None:
            if _is_nested(shape):
                raise ValueError(
                    f"{self.name} has an augmentation, which wants samples (batch, ...); got shapes {shape}."
                )
            views = self.augmentation(keras.KerasTensor((None, *shape[1:])), training=True)
            first = views[0] if isinstance(views, list | tuple) else views
            extra = len(first.shape) - len(shape)
            return tuple(first.shape[1 + extra :])
        rank = _input_rank(self.encoder)
        if not _is_nested(shape):
            if len(shape) == rank:
                return tuple(shape[1:])
            if len(shape) < 3 or rank not in (None, len(shape) - 1):
                raise ValueError(
                    f"{self.name} without an augmentation needs views (batch, views, ...) that its encoder "
                    f"can read, got shape {tuple(shape)}. Give augmentation=..., or make views with "
                    "contrast.data.ViewBatches."
                )
            return tuple(shape[2:])
        shapes = [tuple(part) for part in shape]
        rank = rank or min(len(part) for part in shapes)
        return shapes[0][1 + len(shapes[0]) - rank :]

    def _check_views(self, groups):
        count = sum(group.shape[1] for group in groups)
        most = self.most_views
        if count < self.least_views or (most is not None and count > most):
            wanted = f"{'' if most == self.least_views else 'at least '}{self.least_views}"
            raise ValueError(f"{self.name} needs {wanted} views of each sample, got {count}.")
        if self.normalizes_batch and groups[0].shape[0] == 1:
            raise ValueError(
                f"{self.name} takes statistics over the batch, which needs at least two samples, got a batch "
                "of one. Leave the last batch out where it is so small (drop_remainder=True)."
            )


def check_encoder(encoder, name="encoder"):
    """TypeError unless the encoder is a layer."""
    if not isinstance(encoder, keras.Layer):
        raise TypeError(f"{name} must be a layer or model, got {type(encoder).__name__}.")


def features_dim(encoder, shape):
    """Builds the encoder for samples of this shape, if it is not, and returns the width of its features."""
    output = None
    has_build = type(encoder).build not in (keras.Layer.build, keras.Model.build)
    if not encoder.built and has_build:
        encoder.build(shape)
    if encoder.built:
        try:
            output = encoder.compute_output_shape(shape)
        except NotImplementedError:
            output = None
    if output is None:
        output = keras.tree.map_structure(lambda x: tuple(x.shape), encoder(keras.KerasTensor(shape)))
    if _is_nested(output):
        raise ValueError(
            f"encoder {encoder.name!r} must have one output, features (batch, dim), got {len(output)} "
            "outputs; make a model of the one to be trained: keras.Model(encoder.input, encoder.outputs[0])."
        )
    if len(output) != 2 or output[1] is None:
        raise ValueError(
            f"encoder {encoder.name!r} must give features (batch, dim), got shape {tuple(output)}; pool or "
            "flatten them, for example with keras.layers.GlobalAveragePooling2D()."
        )
    return output[1]


def over_views(layer, views, **options):
    """Applies a layer to all views `(batch, views, ...)` at once."""
    count = views.shape[1]
    outputs = layer(ops.reshape(views, (-1, *views.shape[2:])), **options)
    return ops.reshape(outputs, (-1, count, *outputs.shape[1:]))


def separate(groups):
    """The views one by one, as a list of `(batch, 1, ...)`."""
    return [group[:, view : view + 1] for group in groups for view in range(group.shape[1])]


def joined(groups):
    """Embeddings of views of all sizes on one axis, `(batch, views, dim)`."""
    return groups[0] if len(groups) == 1 else ops.concatenate(groups, axis=1)


def serialized(parts):
    """A dict of layers and functions for a config; other values stay."""
    return {
        key: keras.saving.serialize_keras_object(part) if callable(part) else part
        for key, part in parts.items()
    }


def deserialized(config):
    """A config with the layers and functions in it made again."""
    return {
        key: keras.saving.deserialize_keras_object(part)
        if isinstance(part, dict) and "class_name" in part
        else part
        for key, part in config.items()
    }


def _grouped(views, rank, name):
    """Views side by side: `(batch, views, ...)` for each run of views of one size."""
    parts = list(views) if isinstance(views, list | tuple) else [views]
    shapes = [tuple(part.shape) for part in parts]
    if not parts or any(len(shape) not in (rank, rank + 1) for shape in shapes):
        raise ValueError(
            f"{name} needs views of rank {rank}, or side by side of rank {rank + 1}, got {shapes}."
        )
    if len(parts) == 1 and len(shapes[0]) == rank:
        raise ValueError(
            f"{name} needs views (batch, views, ...), got single samples of shape {shapes[0]}. Give "
            "augmentation=..., or make views with contrast.data.ViewBatches."
        )
    groups = []
    for part in parts:
        if len(part.shape) == rank:
            part = ops.expand_dims(part, axis=1)
        if groups and groups[-1][0].shape[2:] == part.shape[2:]:
            groups[-1].append(part)
        else:
            groups.append([part])
    return tuple(group[0] if len(group) == 1 else ops.concatenate(group, axis=1) for group in groups)


def _input_rank(encoder):
    """The rank of the input for which an encoder was built, if that is known."""
    if not encoder.built:
        return None
    shape = getattr(encoder, "input_shape", None) or (encoder.get_build_config() or {}).get("input_shape")
    return None if shape is None or _is_nested(shape) else len(shape)


def _is_nested(shape):
    return isinstance(shape, dict) or any(isinstance(part, list | tuple | dict) for part in shape)


def _as_lists(shape):
    return [list(part) for part in shape] if _is_nested(shape) else list(shape)
