from typing import Any

import keras
from keras import ops

from contrast import backend
from contrast.typing import Shape, Tensor


@keras.saving.register_keras_serializable(package="contrast")
class Centering(keras.Layer):
    r"""A moving average of the teacher's logits, which is taken off them so that no class takes all.

    $$c \leftarrow m\, c + (1 - m) \frac{1}{|B|} \sum_{t \in B} t$$

    The centre is not trained and is saved with the model. Read it before it is updated, once a training step:

    ```python
    loss = contrast.losses.SelfDistillation()(teacher, student, center=self.centering.value)
    self.centering.update(teacher)
    ```

    Args:
        dim: width of the logits.
        momentum: m, from 0 (the last batch alone) to below 1.

    Call: `(logits)` of shape `(..., dim)` returns logits - centre. The property `value` is the centre,
        float32 `(dim,)`, without gradient. `update(logits)` moves it towards the mean over all axes but the
        last, and over all replicas.

    Raises:
        ValueError: if dim is below 1, momentum is outside [0, 1), or the last axis is not dim.

    Example:

    >>> centering = contrast.layers.Centering(dim=2, momentum=0.5)
    >>> centering.update(np.array([[2.0, 0.0], [4.0, 0.0]]))
    >>> keras.ops.convert_to_numpy(centering.value).tolist()
    [1.5, 0.0]

    Reference: [Caron et al., 2021](https://arxiv.org/abs/2104.14294), equation 4.
    """

    def __init__(self, dim: int, momentum: float = 0.9, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if dim < 1:
            raise ValueError(f"dim must be at least 1, got {dim}.")
        if not 0 <= momentum < 1:
            raise ValueError(f"momentum must be at least 0 and below 1, got {momentum}.")
        self.dim, self.momentum = dim, momentum
        self.center = self.add_weight(
            shape=(dim,),
            initializer="zeros",
            dtype="float32",
            autocast=False,
            trainable=False,
            name="center",
        )
        self.built = True

    @property
    def value(self) -> Tensor:
        # A copy: PyTorch refuses a backward pass through a variable that `update` has assigned since.
        return ops.stop_gradient(ops.copy(self.center))

    def update(self, logits: Tensor) -> None:
        """Moves the centre towards the mean of `logits`, `(..., dim)`; call it after the loss."""
        logits = ops.stop_gradient(ops.cast(ops.convert_to_tensor(logits), "float32"))
        self._check_width(logits)
        rows = ops.reshape(logits, (-1, self.dim))
        total = backend.mean_over_replicas(ops.sum(rows, axis=0))
        count = backend.mean_over_replicas(ops.cast(ops.shape(rows)[0], "float32"))
        mean = total / count
        self.center.assign(self.momentum * ops.copy(self.center) + (1 - self.momentum) * mean)

    def call(self, logits: Tensor) -> Tensor:
        self._check_width(logits)
        return logits - ops.cast(self.value, logits.dtype)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return input_shape

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "dim": self.dim, "momentum": self.momentum}

    def _check_width(self, logits):
        if logits.shape[-1] != self.dim:
            raise ValueError(
                f"logits must have {self.dim} entries along the last axis, got shape {tuple(logits.shape)}."
            )
