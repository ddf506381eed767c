from collections.abc import Callable
from typing import Any, Self

import keras

from contrast.layers import LogitBias, Temperature
from contrast.layers.chunked_encoder import any_batch, in_chunks
from contrast.losses import InfoNCE, SigmoidContrastive, total_loss
from contrast.losses.base import ContrastiveLoss, check_choice
from contrast.models.base import check_encoder, deserialized, features_dim, serialized
from contrast.ops import l2_normalize
from contrast.typing import Tensor

OBJECTIVES = ("softmax", "sigmoid")


@keras.saving.register_keras_serializable(package="contrast.models")
class DualEncoder(keras.Model):
    r"""Two encoders into one space, in which the two sides of a pair are near: images and their captions.

    With $a = W_a f(x) / |W_a f(x)|$ and $b = W_b g(y) / |W_b g(y)|$ and a learned temperature $\tau$, the
    softmax objective (CLIP) is
    $$L = -\frac{1}{2N} \sum_i \left( \log \frac{e^{a_i \cdot b_i / \tau}}{\sum_j e^{a_i \cdot b_j / \tau}} +
    \log \frac{e^{a_i \cdot b_i / \tau}}{\sum_j e^{a_j \cdot b_i / \tau}} \right),$$
    and the sigmoid objective (SigLIP), with a learned bias $\beta$ and $y_{ij} = 1$ for $i = j$, else -1,
    $$L = -\frac{1}{N} \sum_i \sum_j \log \frac{1}{1 + e^{-y_{ij} (a_i \cdot b_j / \tau + \beta)}}.$$

    Use it for data of two kinds that belong together. The sigmoid objective does better with small batches.
    For two views of the same data use `SimCLR`.

    Args:
        first, second: layers or models to features `(batch, dim)`; `model.first` and `model.second`.
        dim: width of the common space.
        objective: `"softmax"` or `"sigmoid"`.
        temperature: where $\tau$ starts; `None`: 0.07 with softmax, 0.1 with sigmoid. The softmax's $1 /
            \tau$ stays between 1 and 100, as in CLIP.
        same_id: what rows with an equal id are to each other: `"ignore"`, neither positive nor negative, or
            `"positive"`; with softmax also `"shared"`.
        encode_chunk: `None`, or the most rows of each side that run through its encoder at once, as for
            `contrast.models.Scheme`.

    Data: pairs `(first, second)`, with or without ids of what they show: `fit((first, second))`, or a data
        set that yields `((first, second), ids)` or `((first, second),)`, such as `contrast.data.PairBatches`.

    Call: a pair to its embeddings of unit length, both `(batch, dim)`; so does `predict`. `embed_first(x)`
        and `embed_second(x)` give those of one side.

    Raises:
        ValueError: if an encoder has several outputs or no features `(batch, dim)`, the data are no pairs, or
            an option is unknown, or the temperature is outside its bounds.

    Example:

    >>> rng = np.random.default_rng(0)
    >>> images, texts = rng.normal(size=(16, 6)).astype("float32"), rng.normal(size=(16, 5)).astype("float32")
    >>> model = contrast.models.DualEncoder(keras.layers.Dense(8), keras.layers.Dense(8), dim=4)
    >>> model.compile("adam")
    >>> history = model.fit(contrast.data.PairBatches(images, texts, batch_size=8), epochs=1, verbose=0)
    >>> [part.shape for part in model.predict((images, texts), verbose=0)]
    [(16, 4), (16, 4)]

    References: [Radford et al., 2021](https://arxiv.org/abs/2103.00020),
        [Zhai et al., 2023](https://arxiv.org/abs/2303.15343)
    """

    def __init__(
        self,
        first: keras.Layer,
        second: keras.Layer,
        dim: int = 512,
        objective: str = "softmax",
        temperature: float | None = None,
        same_id: str = "ignore",
        encode_chunk: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_encoder(first, "first")
        check_encoder(second, "second")
        check_choice("objective", objective, OBJECTIVES)
        self.first, self.second, self.dim = first, second, dim
        self.objective, self.same_id, self.encode_chunk = objective, same_id, encode_chunk
        in_chunks(first, encode_chunk)  # refuses a bad size now
        softmax = objective == "softmax"
        if temperature is None:
            temperature = 0.07 if softmax else 0.1
        self.start = temperature
        if softmax:
            # Of the paper's log-scale in [0, log 100].
            self.temperature = Temperature(self.start, minimum=0.01, maximum=1.0)
            self.bias = None
        else:
            self.temperature = Temperature(self.start, minimum=1e-4, maximum=1e4)
            self.bias = LogitBias()
        self.projections = [
            keras.layers.Dense(dim, use_bias=False, name=f"{side}_projection", dtype=self.dtype_policy)
            for side in ("first", "second")
        ]
        self.make_loss()  # refuses bad options now

    def make_loss(self) -> ContrastiveLoss:
        """The objective, around the temperature that the model owns."""
        if self.objective == "softmax":
            return InfoNCE(self.temperature, symmetric=True, same_id=self.same_id)
        return SigmoidContrastive(self.temperature, self.bias, same_id=self.same_id)

    def build(self, input_shape: Any) -> None:
        if len(input_shape) != 2 or not all(isinstance(shape, list | tuple | dict) for shape in input_shape):
            raise ValueError(
                f"{self.name} needs pairs (first, second), got shape {tuple(input_shape)}. A data set yields "
                "((first, second), ids) or ((first, second),)."
            )
        self._pair_shape = [any_batch(shape) for shape in input_shape]
        for encoder, projection, shape in zip(
            (self.first, self.second), self.projections, self._pair_shape, strict=True
        ):
            projection.build((None, features_dim(encoder, shape)))
        self.built = True

    def get_build_config(self) -> dict[str, Any]:
        return {"input_shape": self._pair_shape}

    def build_from_config(self, config: dict[str, Any]) -> None:
        self.build(config["input_shape"])

    def call(self, inputs: tuple[Tensor, Tensor], training: bool | None = None) -> tuple[Tensor, Tensor]:
        first, second = inputs
        return self.embed_first(first, training), self.embed_second(second, training)

    def embed_first(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        """Embeddings of unit length of the first side, `(batch, dim)`."""
        return l2_normalize(self.projections[0](self.run(self.first)(inputs, training=training)))

    def embed_second(self, inputs: Tensor, training: bool | None = None) -> Tensor:
        """Embeddings of unit length of the second side, `(batch, dim)`."""
        return l2_normalize(self.projections[1](self.run(self.second)(inputs, training=training)))

    def run(self, encoder: keras.Layer) -> Callable:
        """The encoder as a function that runs in chunks where `encode_chunk` says so."""
        return in_chunks(encoder, self.encode_chunk)

    def compute_loss(
        self,
        x: Any = None,
        y: Tensor | None = None,
        y_pred: Any = None,
        sample_weight: Tensor | None = None,
        training: bool = True,
    ) -> Tensor:
        return total_loss(self, loss=self.make_loss()(y, y_pred, sample_weight))

    def get_config(self) -> dict[str, Any]:
        options = {key: getattr(self, key) for key in ("dim", "objective", "same_id", "encode_chunk")}
        encoders = serialized({"first": self.first, "second": self.second})
        return {**super().get_config(), **encoders, **options, "temperature": self.start}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        return cls(**deserialized(config))
