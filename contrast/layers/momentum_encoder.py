from collections.abc import Callable
from typing import Any, Self

import keras
import numpy as np
from keras import ops

BATCH_STATISTICS = ("own", "ema", "copy")


@keras.saving.register_keras_serializable(package="contrast")
class MomentumEncoder(keras.Layer):
    r"""A teacher: a copy of an encoder that follows it as an exponential moving average.

    With student weights $\theta$, teacher weights $\xi$ and momentum $m$, `update(student)` does
    $$\xi \leftarrow m \, \xi + (1 - m) \, \theta.$$

    Call `update` once a step, in the model's `compute_loss`: it sees the student as it is before that step's
    gradient. The teacher is never trained, whatever `trainable` is set to, and is saved with the model.

    ```python
    def __init__(self, encoder):
        super().__init__()
        self.encoder = encoder
        self.teacher = contrast.layers.MomentumEncoder(encoder, momentum=0.996)

    def compute_loss(self, x, y, y_pred, sample_weight=None, training=True):
        self.teacher.update(self.encoder)
        targets = self.teacher(x, training=training)
        ...
    ```

    Args:
        encoder: a layer or model that is built and has a config; the teacher starts with its weights. The
            encoder itself is not kept.
        momentum: float in [0, 1], or a serializable function of the number of updates so far, such as
            `contrast.optimizers.WarmupCosine(0.996, total_steps=1000, end=1.0)`.
        batch_statistics: what becomes of non-trainable weights, such as the moving statistics of batch
            normalisation. `"own"`: the teacher runs in the mode in which it is called, so that in training it
            normalises by its own batch and keeps its own moving statistics. `"ema"`: they follow the
            student's like the weights; the teacher always runs in inference mode. `"copy"`: they are the
            student's, likewise.
        copy_first: the teacher gets the student's weights in the first update, in place of now: for a model
            that makes its teacher in `build`, where the encoder's weights may have no values yet.

    Call: as the encoder is called; returns what it returns, without gradient.

    Raises:
        ValueError: if the momentum lies outside [0, 1], `batch_statistics` is none of the above, the encoder
            is not built, or the student in `update` has other weights than the teacher.
        TypeError: if the encoder is not a layer, or the momentum is neither number nor function.

    Example:

    >>> encoder = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4)])
    >>> teacher = contrast.layers.MomentumEncoder(encoder, momentum=0.99)
    >>> teacher.update(encoder)
    >>> tuple(teacher(np.zeros((2, 8), "float32")).shape)
    (2, 4)

    References: [Tarvainen and Valpola, 2017](https://arxiv.org/abs/1703.01780),
        [He et al., 2020](https://arxiv.org/abs/1911.05722),
        [Grill et al., 2020](https://arxiv.org/abs/2006.07733).
    """

    def __init__(
        self,
        encoder: keras.Layer,
        momentum: float | Callable[[Any], Any] = 0.99,
        batch_statistics: str = "own",
        copy_first: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not isinstance(encoder, keras.Layer):
            raise TypeError(f"encoder must be a layer or model, got {type(encoder).__name__}.")
        if not encoder.built:
            raise ValueError(
                f"encoder {encoder.name!r} has no weights yet; call encoder.build(input_shape) first."
            )
        if not callable(momentum) and not isinstance(momentum, int | float):
            raise TypeError(f"momentum must be a float or a function of the step, got {momentum!r}.")
        if not callable(momentum) and not 0 <= momentum <= 1:
            raise ValueError(f"momentum must lie in [0, 1], got {momentum}.")
        if batch_statistics not in BATCH_STATISTICS:
            raise ValueError(
                f"batch_statistics must be one of {', '.join(map(repr, BATCH_STATISTICS))}, "
                f"got {batch_statistics!r}."
            )
        self.momentum, self.batch_statistics = momentum, batch_statistics
        self.copy_first = copy_first
        # Keras's PyTorch models know their parameters by path: a twin of the same path would hide the student
        # from `zero_grad`.
        with keras.name_scope(self.name):
            self.encoder = _twin(encoder) if copy_first else _copy(encoder)
        self._is_state = _is_state(self.encoder)
        # Only the variables are frozen: a frozen batch normalisation would never use its own batch.
        for variable in self.encoder.weights:
            variable.trainable = False
        self.step = self.add_weight(
            shape=(), initializer="zeros", dtype="int32", trainable=False, name="step"
        )
        self.built = True

    @property
    def trainable(self) -> bool:
        """Always `False`; setting it has no effect."""
        return False

    @trainable.setter
    def trainable(self, value: bool) -> None:
        pass

    def update(self, student: keras.Layer) -> None:
        """Moves the teacher towards the student by one step.

        Call it outside any layer's `call`, where weights may be seen in half precision.

        Args:
            student: the encoder that is trained, with the same weights as the one the teacher was made from.
        """
        shapes = [[tuple(weight.shape) for weight in model.weights] for model in (self.encoder, student)]
        if shapes[0] != shapes[1]:
            raise ValueError(
                f"student {student.name!r} must have the teacher's weights, of shapes {shapes[0]}, "
                f"got {shapes[1]}."
            )
        momentum = self.momentum
        if callable(momentum):
            momentum = ops.stop_gradient(ops.cast(momentum(ops.copy(self.step)), "float32"))
        if self.copy_first:
            is_first = ops.equal(ops.copy(self.step), 0)
        for ours, theirs, is_state in zip(self.encoder.weights, student.weights, self._is_state, strict=True):
            student_value = ops.copy(ops.stop_gradient(ops.convert_to_tensor(theirs)))
            value = student_value
            if is_state and self.batch_statistics == "own":
                if not self.copy_first:
                    continue
                value = ops.copy(ours)
            elif "float" in ours.dtype and not (is_state and self.batch_statistics == "copy"):
                share = ops.cast(momentum, ours.dtype)
                value = share * ops.copy(ours) + (1 - share) * value
            ours.assign(ops.where(is_first, student_value, value) if self.copy_first else value)
        self.step.assign(ops.copy(self.step) + 1)

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        inputs = keras.tree.map_structure(ops.stop_gradient, inputs)
        if self.batch_statistics != "own":
            training = False
        return keras.tree.map_structure(ops.stop_gradient, self.encoder(inputs, training=training))

    def compute_output_shape(self, input_shape: Any) -> Any:
        return self.encoder.compute_output_shape(input_shape)

    def get_config(self) -> dict[str, Any]:
        momentum = self.momentum
        if callable(momentum):
            momentum = keras.saving.serialize_keras_object(momentum)
        return {
            **super().get_config(),
            "encoder": keras.saving.serialize_keras_object(self.encoder),
            "momentum": momentum,
            "batch_statistics": self.batch_statistics,
            "copy_first": self.copy_first,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        config = {**config, "encoder": keras.saving.deserialize_keras_object(config["encoder"])}
        if isinstance(config["momentum"], dict):
            config["momentum"] = keras.saving.deserialize_keras_object(config["momentum"])
        return cls(**config)


def _copy(encoder):
    """A layer like `encoder`, with equal weights in buffers of its own."""
    twin = _twin(encoder)
    twin.set_weights([np.array(weight) for weight in encoder.get_weights()])
    return twin


def _twin(encoder):
    """A layer like `encoder`, with weights of the same shapes."""
    config = keras.saving.serialize_keras_object(encoder)
    config.pop("compile_config", None)
    twin = keras.saving.deserialize_keras_object(
        config, custom_objects={type(encoder).__name__: type(encoder)}, safe_mode=False
    )
    if [tuple(weight.shape) for weight in encoder.weights] != [
        tuple(weight.shape) for weight in twin.weights
    ]:
        raise ValueError(
            f"encoder {encoder.name!r} cannot be rebuilt from its config with the same weights; its "
            "get_config, build and get_build_config must describe it fully."
        )
    return twin


def _is_state(encoder):
    """For each weight, whether it is state that gradients never train, frozen or not."""
    state = {
        id(variable) for layer in encoder._flatten_layers() for variable in layer._non_trainable_variables
    }
    return tuple(id(weight) in state for weight in encoder.weights)
