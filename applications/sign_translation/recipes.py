"""How the stages are trained."""

from dataclasses import dataclass

import keras

from contrast.optimizers import Part, PartitionedOptimizer, WarmupCosine

NOT_DECAYED = ("bias", "gamma", "beta", "places", "clip_token", "log_inverse")


@dataclass(frozen=True)
class FrameRecipe:
    """How stage 0 is trained. The paper has no such stage; these values suit small frames.

    Args:
        batch_size: frames in a batch.
        epochs: passes over all frames.
        learning_rate: of Adam, at the start; falls to 0 along a cosine.
    """

    batch_size: int = 128
    epochs: int = 2
    learning_rate: float = 2e-3

    def optimizer(self, steps: int) -> keras.optimizers.Optimizer:
        """For a training of that many steps."""
        return keras.optimizers.Adam(WarmupCosine(self.learning_rate, steps))


@dataclass(frozen=True)
class VLPRecipe:
    """How stage 1 is trained; the defaults are those of the official code.

    There, four processes with four pairs each contrast their own four. One process contrasts all of its
    batch.

    Args:
        batch_size: pairs in a batch.
        epochs: passes over the pairs.
        optimizer_name: of the encoders, `"sgd"` with Nesterov momentum 0.9, or `"adamw"`. The decoder always
            has AdamW.
        learning_rate: of the encoders; falls along a cosine.
        decoder_learning_rate: of the decoder, likewise.
        final_learning_rate: of both.
        warmup_steps: in which the rate rises.
        weight_decay: of matrices.
        clip_norm: of the gradient of each part, or `None`.
        restoration_every: the decoder moves every so many steps.
        mask_rate: of the words that are masked, see `contrast.data.sentence_noise.WordMasking`.
        shuffle_rate: sentences whose words are also shuffled; the official command used 0.5.
        distinct_sentences: keep equal sentences out of a batch.
    """

    batch_size: int = 16
    epochs: int = 80
    optimizer_name: str = "sgd"
    learning_rate: float = 0.01
    decoder_learning_rate: float = 1e-3
    final_learning_rate: float = 1e-8
    warmup_steps: int = 0
    weight_decay: float = 0.0
    clip_norm: float | None = None
    restoration_every: int = 5
    mask_rate: float = 0.15
    shuffle_rate: float = 0.0
    distinct_sentences: bool = False

    def __post_init__(self):
        _check_name(self.optimizer_name)

    @classmethod
    def small(cls, epochs: int = 48, **options) -> "VLPRecipe":
        """For `Architecture.small` on some hundred pairs."""
        options = {**_SMALL, "batch_size": 32, "weight_decay": 1e-4, "restoration_every": 1, **options}
        return cls(epochs=epochs, **options)

    def optimizer(self, steps: int, restoration: bool = True) -> keras.optimizers.Optimizer:
        """For a training of that many steps; with `restoration`, the part `decoder` has its own."""
        encoders = _optimizer(self, self.optimizer_name, self.learning_rate, steps)
        if not restoration:
            return encoders
        decoder_steps = max(1, steps // self.restoration_every)
        decoder = _optimizer(self, "adamw", self.decoder_learning_rate, decoder_steps)
        return PartitionedOptimizer(
            [Part("decoder", decoder, every=self.restoration_every)],
            default=encoders,
            no_weight_decay=NOT_DECAYED,
        )


@dataclass(frozen=True)
class SLTRecipe:
    """How stage 2 is trained; the defaults are those of the official code.

    Weight decay is apart from the gradient, as in Keras; in the official SGD it is added to the gradient.

    Args:
        batch_size: pairs in a batch.
        epochs: passes over the pairs.
        optimizer_name, learning_rate, final_learning_rate, warmup_steps, weight_decay, clip_norm: see
            `VLPRecipe`.
    """

    batch_size: int = 8
    epochs: int = 200
    optimizer_name: str = "sgd"
    learning_rate: float = 0.01
    final_learning_rate: float = 1e-8
    warmup_steps: int = 0
    weight_decay: float = 1e-3
    clip_norm: float | None = None

    def __post_init__(self):
        _check_name(self.optimizer_name)

    @classmethod
    def small(cls, epochs: int = 30, **options) -> "SLTRecipe":
        """For `Architecture.small` on some hundred pairs."""
        return cls(epochs=epochs, **{**_SMALL, "batch_size": 16, **options})

    def optimizer(self, steps: int) -> keras.optimizers.Optimizer:
        """For a training of that many steps."""
        return _optimizer(self, self.optimizer_name, self.learning_rate, steps)


_SMALL = {
    "optimizer_name": "adamw",
    "learning_rate": 1e-3,
    "final_learning_rate": 0.0,
    "warmup_steps": 20,
    "clip_norm": 1.0,
}


def _check_name(name):
    if name not in ("sgd", "adamw"):
        raise ValueError(f"optimizer_name must be 'sgd' or 'adamw', got {name!r}.")


def _optimizer(recipe, name, rate, steps):
    schedule = WarmupCosine(
        rate, steps, warmup_steps=min(recipe.warmup_steps, steps - 1), end=recipe.final_learning_rate
    )
    shared = {"weight_decay": recipe.weight_decay or None, "global_clipnorm": recipe.clip_norm}
    if name == "sgd":
        optimizer = keras.optimizers.SGD(schedule, momentum=0.9, nesterov=True, **shared)
    else:
        # AdamW wants a number for the decay.
        shared["weight_decay"] = recipe.weight_decay
        optimizer = keras.optimizers.AdamW(schedule, beta_2=0.98, **shared)
    optimizer.exclude_from_weight_decay(var_names=list(NOT_DECAYED))
    return optimizer
