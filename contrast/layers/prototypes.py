from typing import Any

import keras
from keras import ops

from contrast import backend
from contrast.ops import l2_normalize, sinkhorn
from contrast.typing import Shape, Tensor


@keras.saving.register_keras_serializable(package="contrast")
class Prototypes(keras.Layer):
    """Trainable unit vectors that embeddings are compared with.

    Embeddings and prototypes are scaled to unit length, so that scores are cosines, computed in float32.

    Args:
        count: number of prototypes.
        dim: width of the embeddings.
        temperature: of the assignment, positive: the lower, the harder.
        iterations: of Sinkhorn's algorithm in the assignment.

    Call: `(..., dim)` returns scores `(..., count)` in [-1, 1]; where `frozen`, a bool or a bool scalar
        tensor, is true, no gradient flows into the prototypes. `assign(scores)` returns targets without
        gradient, `(samples, count)`, whose rows sum to 1 and in which all prototypes have about the same
        mass. The property `vectors` is the unit vectors, `(count, dim)`.

    Raises:
        ValueError: if count, dim or iterations is below 1, the temperature is not positive, or the last axis
            of the inputs is not dim.

    Example:

    >>> prototypes = contrast.layers.Prototypes(count=3, dim=8)
    >>> scores = prototypes(np.random.default_rng(0).normal(size=(6, 8)))
    >>> targets = keras.ops.convert_to_numpy(prototypes.assign(scores))
    >>> targets.sum(axis=1).round(3).tolist()
    [1.0, 1.0, 1.0, 1.0, 1.0, 1.0]

    Reference: [Caron et al., 2020](https://arxiv.org/abs/2006.09882)
    """

    def __init__(
        self, count: int, dim: int, temperature: float = 0.05, iterations: int = 3, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if min(count, dim, iterations) < 1:
            raise ValueError(
                f"count, dim and iterations must be at least 1, got {count}, {dim} and {iterations}."
            )
        if not temperature > 0:
            raise ValueError(f"temperature must be positive, got {temperature}.")
        self.count, self.dim = count, dim
        self.temperature, self.iterations = temperature, iterations
        self.prototypes = self.add_weight(
            shape=(count, dim),
            initializer=keras.initializers.RandomNormal(stddev=1.0),
            dtype="float32",
            autocast=False,
            name="prototypes",
        )
        self.built = True

    @property
    def vectors(self) -> Tensor:
        return l2_normalize(ops.convert_to_tensor(self.prototypes))

    def call(self, inputs: Tensor, frozen: bool | Tensor | None = None) -> Tensor:
        if inputs.shape[-1] != self.dim:
            raise ValueError(
                f"inputs must have {self.dim} entries along the last axis, got shape {tuple(inputs.shape)}."
            )
        embeddings = l2_normalize(ops.cast(inputs, "float32"))
        vectors = self.vectors
        if frozen is not None:
            vectors = ops.where(frozen, ops.stop_gradient(vectors), vectors)
        return ops.cast(ops.matmul(embeddings, ops.transpose(vectors)), self.compute_dtype)

    def assign(self, scores: Tensor, earlier: Tensor | None = None) -> Tensor:
        """Sinkhorn's assignment of the samples behind `scores`, together with those of all replicas.

        Args:
            scores: `(samples, count)`; gradients stop here.
            earlier: scores `(n, count)` of further samples, which take part and are not returned; the same on
                all replicas, as those of a queue are. Or `None`.

        Returns:
            A float32 tensor `(samples, count)`.
        """
        own = ops.stop_gradient(ops.convert_to_tensor(scores))
        scores = backend.gather(own)
        if earlier is None:
            return backend.own_rows(sinkhorn(scores, self.temperature, self.iterations), own)
        earlier = ops.stop_gradient(ops.convert_to_tensor(earlier))
        together = ops.concatenate([earlier, scores])
        codes = sinkhorn(together, self.temperature, self.iterations)[ops.shape(earlier)[0] :]
        return backend.own_rows(codes, own)

    def compute_output_shape(self, input_shape: Shape) -> Shape:
        return (*input_shape[:-1], self.count)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "count": self.count,
            "dim": self.dim,
            "temperature": self.temperature,
            "iterations": self.iterations,
        }
