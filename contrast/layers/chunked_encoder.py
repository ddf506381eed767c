import functools
from collections.abc import Callable
from typing import Any, Self

import keras
from keras import ops
from keras.src.backend import AutocastScope  # Keras offers no public way to read weights in full precision

from contrast import backend
from contrast.typing import Shape


def encode_in_chunks(encoder: keras.Layer, inputs: Any, chunk_size: int, training: bool = False) -> Any:
    """What an encoder makes of its inputs, computed chunk by chunk: memory is that of one chunk.

    Forward keeps the outputs alone; backward runs each chunk once more, which costs one more forward pass.
    Values and gradients are those of `encoder(inputs)`. Use it for batches whose activations do not fit, with
    a loss that looks at all rows at once; a loss that is a mean over rows needs only a smaller batch.

    Chunks have nearly equal sizes. Chunk c of C holds the rows c, c + C, c + 2C and so on, so that a batch
    spread over devices, with `keras.distribution` on JAX, has a share of each chunk on every device. Up to
    C - 1 rows are encoded twice to fill the last places; they count nowhere.

    **Randomness.** Dropout and noise draw chunk by chunk, other numbers than they would for the whole batch,
    and the same ones in both passes. The seeds of the layers have moved by one draw a chunk afterwards.

    **Batch normalisation** in training would take its statistics over a chunk, which makes another encoder,
    and move its averages once a chunk: it is refused, as is every layer that changes a weight when called.
    Put `LayerNormalization` or `GroupNormalization` in its place (`normalization="group"` in
    `contrast.encoders.ConvNet` and `ResNet`), or freeze it (`layer.trainable = False`). A layer that mixes
    rows in another way, without a weight that tells so, is not noticed.

    Args:
        encoder: a layer or model that is built, from `(batch, ...)` to one tensor `(batch, ...)` or several.
        inputs: a tensor `(batch, ...)`, or a nested structure of them.
        chunk_size: most rows in a chunk, at least 1. A batch that is no larger runs as it is.
        training: bool, handed to the encoder.

    Returns:
        What `encoder(inputs, training=training)` returns.

    Raises:
        ValueError: if `chunk_size` is below 1, the encoder is not built, inputs differ in rows or carry a
            Keras mask (give it as one of the inputs), or the encoder changes a weight, adds a loss, draws
            from the global generator or returns something without the rows of a chunk.

    Example:

    >>> encoder = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4, "relu")])
    >>> embeddings = contrast.layers.encode_in_chunks(encoder, np.ones((10, 8), "float32"), chunk_size=4)
    >>> tuple(embeddings.shape)
    (10, 4)

    References: [Gao et al., 2021](https://arxiv.org/abs/2101.06983),
        [Chen et al., 2016](https://arxiv.org/abs/1604.06174)
    """
    _check_chunk_size(chunk_size)
    if not encoder.built:
        raise ValueError(
            f"encoder {encoder.name!r} has no weights yet; call encoder.build(input_shape) first."
        )
    tensors = [ops.convert_to_tensor(part) for part in keras.tree.flatten(inputs)]
    _check_rows(encoder, inputs, tensors)
    weights, seeds = encoder.trainable_variables, _seeds(encoder)
    special = {id(variable) for variable in (*weights, *seeds)}
    fixed = [variable for variable in encoder.variables if id(variable) not in special]
    variables = [*weights, *seeds, *fixed]
    with AutocastScope(None):
        weight_values = [ops.convert_to_tensor(variable) for variable in weights]
        fixed_values = [ops.stop_gradient(ops.convert_to_tensor(variable)) for variable in fixed]
        # PyTorch changes a variable in place, and the second pass wants what the first began with.
        seed_values = [ops.copy(ops.convert_to_tensor(variable)) for variable in seeds]
    structures = []

    def encode(weight_values, seed_values, chunk):
        values = [*weight_values, *seed_values, *fixed_values]
        with AutocastScope(None):  # that of the layer around is gone when backward runs
            scope = keras.StatelessScope(zip(variables, values, strict=True), collect_losses=True)
        before = dict(scope.state_mapping)
        with AutocastScope(None), scope:
            outputs = encoder(keras.tree.pack_sequence_as(inputs, chunk), training=training)
        _check_effects(encoder, scope, before, seeds)
        structures.append(keras.tree.map_structure(lambda _: None, outputs))
        outputs = keras.tree.flatten(outputs)
        for output in outputs:
            if not len(output.shape) or output.shape[0] != chunk[0].shape[0]:
                raise ValueError(
                    f"encoder {encoder.name!r} must return tensors with a row for each of its inputs, got "
                    f"shape {tuple(output.shape)} for {chunk[0].shape[0]} rows."
                )
        return outputs, [scope.get_current_value(variable) for variable in seeds]

    rows = ops.shape(tensors[0])[0]
    if isinstance(rows, int) and rows <= chunk_size:
        outputs, seed_values = encode(weight_values, seed_values, tensors)
    else:
        chunks = _at_least_one((rows + chunk_size - 1) // chunk_size)
        size = (rows + chunks - 1) // chunks
        parts = [_folded(part, rows, size, chunks) for part in tensors]
        outputs, seed_values = backend.map_chunks(encode, weight_values, seed_values, parts)
        outputs = [_unfolded(output, rows) for output in outputs]
    for variable, value in zip(seeds, seed_values, strict=True):
        variable.assign(value)
    return keras.tree.pack_sequence_as(structures[0], outputs)


@keras.saving.register_keras_serializable(package="contrast")
class ChunkedEncoder(keras.Layer):
    """Runs an encoder chunk by chunk, for batches whose activations do not fit into memory.

    See `contrast.layers.encode_in_chunks` for what is kept, what is drawn and which encoders are refused. The
    schemes of `contrast.models` have it as their argument `encode_chunk`.

    Args:
        encoder: a layer or model from `(batch, ...)` to `(batch, ...)`, built or not.
        chunk_size: most rows in a chunk, at least 1.

    Call: as the encoder is called; returns what it returns.

    Raises:
        ValueError: as for `encode_in_chunks`.

    Example:

    >>> encoder = contrast.encoders.ConvNet((8, 16), normalization="group")
    >>> model = keras.Sequential([
    ...     contrast.layers.FoldViews(contrast.layers.ChunkedEncoder(encoder, 8)),
    ...     contrast.layers.ProjectionHead((16, 8)),
    ... ])
    >>> model.compile("adam", loss=contrast.losses.NTXent(0.5))
    >>> views = np.random.default_rng(0).random((12, 2, 8, 8, 1)).astype("float32")
    >>> history = model.fit(views, np.arange(12), batch_size=12, verbose=0)
    """

    def __init__(self, encoder: keras.Layer, chunk_size: int, **kwargs: Any) -> None:
        super().__init__(autocast=False, **kwargs)  # inputs reach the encoder as they are
        _check_chunk_size(chunk_size)
        self.encoder, self.chunk_size = encoder, chunk_size

    def build(self, input_shape: Any) -> None:
        if not self.encoder.built:
            self.encoder.build(any_batch(input_shape))

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        return encode_in_chunks(self.encoder, inputs, self.chunk_size, bool(training))

    def compute_output_shape(self, input_shape: Any) -> Shape:
        return self.encoder.compute_output_shape(input_shape)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "encoder": keras.saving.serialize_keras_object(self.encoder),
            "chunk_size": self.chunk_size,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        return cls(**{**config, "encoder": keras.saving.deserialize_keras_object(config["encoder"])})


def in_chunks(encoder: keras.Layer, chunk_size: int | None) -> Callable:
    """The encoder, called as it is for `chunk_size=None`, else through `encode_in_chunks`."""
    if chunk_size is None:
        return encoder
    _check_chunk_size(chunk_size)
    return functools.partial(encode_in_chunks, encoder, chunk_size=chunk_size)


def any_batch(shape: Any) -> Any:
    """A shape, or a dict or list of shapes, for batches of any size."""
    if isinstance(shape, dict):
        return {key: any_batch(part) for key, part in shape.items()}
    if shape and isinstance(shape[0], list | tuple | dict):
        return [any_batch(part) for part in shape]
    return (None, *shape[1:])


def _seeds(encoder):
    weights = {id(weight) for weight in encoder.weights}
    return [variable for variable in encoder.variables if id(variable) not in weights]


def _folded(x, rows, size, chunks):
    """`(rows, ...)` as `(size, chunks, ...)`; the first rows stand again in the places that are left."""
    missing = size * chunks - rows
    if not isinstance(missing, int) or missing:
        x = ops.concatenate([x, x[:missing]], axis=0)
    return ops.reshape(x, (size, chunks, *x.shape[1:]))


def _unfolded(x, rows):
    """`(chunks, size, ...)` as `(rows, ...)`."""
    x = ops.moveaxis(x, 0, 1)
    return ops.reshape(x, (-1, *x.shape[2:]))[:rows]


def _at_least_one(count):
    return max(1, count) if isinstance(count, int) else ops.maximum(1, count)


def _check_chunk_size(chunk_size):
    if isinstance(chunk_size, bool) or not isinstance(chunk_size, int) or chunk_size < 1:
        raise ValueError(f"The size of chunks must be an integer of at least 1, got {chunk_size!r}.")


def _check_rows(encoder, inputs, tensors):
    if not tensors or any(not len(tensor.shape) for tensor in tensors):
        raise ValueError(f"inputs of encoder {encoder.name!r} must be tensors (batch, ...), got {inputs!r}.")
    rows = {tensor.shape[0] for tensor in tensors}
    if len(rows) > 1:
        shapes = [tuple(tensor.shape) for tensor in tensors]
        raise ValueError(f"inputs of encoder {encoder.name!r} must have equally many rows, got {shapes}.")
    if any(getattr(part, "_keras_mask", None) is not None for part in keras.tree.flatten(inputs)):
        raise ValueError(
            f"inputs of encoder {encoder.name!r} carry a Keras mask, which chunks would lose; give the mask "
            "as one of the inputs."
        )


def _check_effects(encoder, scope, before, seeds):
    """ValueError if a call did more than map rows and draw random numbers."""
    may_change = {id(seed) for seed in seeds}
    changed = {
        key
        for key, value in scope.state_mapping.items()
        if key not in may_change and before.get(key) is not value
    }
    if changed - before.keys():
        raise ValueError(
            f"encoder {encoder.name!r} cannot run in chunks: it draws from the global random generator or "
            "changes a variable that is not its own. Give its random functions a keras.random.SeedGenerator "
            "that is an attribute of the layer."
        )
    for layer in encoder._flatten_layers():
        for variable in (*layer._trainable_variables, *layer._non_trainable_variables):
            if id(variable) in changed:
                raise ValueError(
                    f"encoder {encoder.name!r} cannot run in chunks: its layer {layer.name!r} "
                    f"({type(layer).__name__}) changes its {variable.name!r} when called, as batch "
                    "normalisation does, whose statistics would be those of a chunk. Use LayerNormalization "
                    "or GroupNormalization in its place (normalization='group' in contrast.encoders), or "
                    "freeze it: layer.trainable = False."
                )
    if scope.losses:
        raise ValueError(
            f"encoder {encoder.name!r} cannot run in chunks: it adds a loss when called (add_loss or an "
            "activity_regularizer). Compute that loss from the embeddings."
        )
