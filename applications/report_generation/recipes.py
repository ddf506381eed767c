"""How the stages are trained."""

from dataclasses import dataclass

import keras

from applications.report_generation.mlrg import SHARED
from contrast.optimizers import Part, PartitionedOptimizer, WarmupCosine

NOT_DECAYED = ("bias", "gamma", "beta", "places", "views", "times", "streams")


@dataclass(frozen=True)
class PretrainingRecipe:
    """How stage 1 is trained; the defaults are those of the official code.

    Args:
        batch_size: samples in a batch.
        epochs: most passes.
        learning_rate: of AdamW.
        weight_decay: of matrices.
        clip_norm: of the whole gradient, or `None`.
        accumulation: batches whose gradients are averaged for a step.
        warmup_steps: in which the rate rises; it is then constant.
        patience: epochs without a better validation loss after which the rate is divided by 10; `None`:
            never, as it must be with `warmup_steps`.
        stop_after: epochs without a better validation loss after which training ends; `None`: never.
        temperature: of both losses.
        anchors: see `StudyBatches`.
    """

    batch_size: int = 32
    epochs: int = 50
    learning_rate: float = 5e-5
    weight_decay: float = 0.01
    clip_norm: float | None = 0.1
    accumulation: int = 2
    warmup_steps: int = 0
    patience: int | None = 5
    stop_after: int | None = 15
    temperature: float = 0.5
    anchors: str = "each"

    @classmethod
    def small(cls, epochs: int = 15, **options) -> "PretrainingRecipe":
        """For `Architecture.small` on some thousand studies."""
        return cls(epochs=epochs, **{**_SMALL, "temperature": 0.1, **options})

    def optimizer(self) -> keras.optimizers.Optimizer:
        """AdamW."""
        return _adamw(self, self.learning_rate)


@dataclass(frozen=True)
class ReportRecipe:
    """How stage 2 is trained; the defaults are those of the official code.

    Args:
        transferred_rate: factor on the rate of what stage 1 trained.
        batch_size, epochs, learning_rate, weight_decay, clip_norm, accumulation, warmup_steps, patience,
            stop_after, anchors: as for `PretrainingRecipe`; the validation score is the one of the reports.
    """

    batch_size: int = 14
    epochs: int = 50
    learning_rate: float = 5e-5
    transferred_rate: float = 0.1
    weight_decay: float = 0.01
    clip_norm: float | None = 0.1
    accumulation: int = 2
    warmup_steps: int = 0
    patience: int | None = 5
    stop_after: int | None = 15
    anchors: str = "each"

    @classmethod
    def small(cls, epochs: int = 8, **options) -> "ReportRecipe":
        """For `Architecture.small` on some thousand studies; transferred weights have the full rate."""
        return cls(epochs=epochs, **{**_SMALL, "batch_size": 32, "transferred_rate": 1.0, **options})

    def optimizer(self) -> keras.optimizers.Optimizer:
        """AdamW, or two of them if transferred weights have a rate of their own."""
        if self.transferred_rate == 1:
            return _adamw(self, self.learning_rate)
        transferred = _adamw(self, self.transferred_rate * self.learning_rate)
        return PartitionedOptimizer(
            [Part(SHARED, transferred, name="transferred")],
            default=_adamw(self, self.learning_rate),
            no_weight_decay=NOT_DECAYED,
        )


_SMALL = {
    "learning_rate": 1e-3,
    "clip_norm": 1.0,
    "accumulation": 1,
    "warmup_steps": 30,
    "patience": None,
    "stop_after": None,
    "anchors": "drawn",
}


def plateau_callbacks(recipe, monitor: str, mode: str) -> list[keras.callbacks.Callback]:
    """What lowers the rate and ends the training when `monitor` no longer gets better.

    Raises:
        ValueError: if the rate is to be lowered, but follows a warm-up: a schedule cannot be set.
    """
    if recipe.patience is not None and recipe.warmup_steps:
        raise ValueError(
            f"patience must be None with warmup_steps={recipe.warmup_steps}, got {recipe.patience}: a rate "
            "that follows a schedule cannot be lowered."
        )
    callbacks: list[keras.callbacks.Callback] = []
    if recipe.patience is not None:
        callbacks.append(keras.callbacks.ReduceLROnPlateau(monitor, 0.1, recipe.patience, mode=mode))
    if recipe.stop_after is not None:
        callbacks.append(
            keras.callbacks.EarlyStopping(
                monitor, patience=recipe.stop_after, mode=mode, restore_best_weights=True
            )
        )
    return callbacks


def _adamw(recipe, rate):
    if recipe.warmup_steps:
        # A cosine that ends where it begins: constant behind the warm-up.
        rate = WarmupCosine(rate, recipe.warmup_steps + 1, recipe.warmup_steps, end=rate)
    optimizer = keras.optimizers.AdamW(
        rate,
        weight_decay=recipe.weight_decay,
        global_clipnorm=recipe.clip_norm,
        gradient_accumulation_steps=recipe.accumulation if recipe.accumulation > 1 else None,
    )
    optimizer.exclude_from_weight_decay(var_names=list(NOT_DECAYED))
    return optimizer
