import functools
from collections.abc import Sequence
from typing import Any, Self

import keras
from keras import ops

from contrast import backend
from contrast.typing import Tensor

EPSILON = 1e-12


@keras.saving.register_keras_serializable(package="contrast")
class SharpnessAware(keras.optimizers.Optimizer):
    r"""Updates the weights by the gradient at the worst point nearby, so that minima are flat.

    With the loss L of a batch at all trainable weights w, and one norm over all of them together,
    $$\epsilon = \rho \frac{\nabla L(w)}{\|\nabla L(w)\|_2 + 10^{-12}}, \qquad g = \nabla L(w + \epsilon),$$
    and the wrapped optimiser moves w by g. Two passes a step: it costs twice the time.

    Use it for small transformers and other nets without convolutions on little data. A step with two
    gradients needs the model, too: `sharpness_aware(model)` gives it one. Without that, or in a custom
    loop, training stops with an error.

    ```python
    model = contrast.optimizers.sharpness_aware(model)
    model.compile(contrast.optimizers.SharpnessAware(keras.optimizers.AdamW(1e-3), rho=0.05), loss=...)
    model.fit(...)
    ```

    Everything else is the wrapped optimiser's: learning rate and schedule, weight decay (which is not part of
    L unless it is a regulariser), clipping (of g, not of $\nabla L(w)$), averages of weights. With its
    `gradient_accumulation_steps` each small batch has an $\epsilon$ of its own. Under `mixed_float16`
    `compile` wraps this optimiser in a `LossScaleOptimizer`, whose factor does not change $\epsilon$.
    On several devices of `keras.distribution` $\epsilon$ is that of the whole batch.

    A custom loop calls `ascend(gradients, weights)`, takes the gradients at the weights that it returns, and
    then `apply(gradients, variables)` on the old ones.

    Args:
        optimizer: any Keras optimiser, or its name.
        rho: positive float, how far to look. The larger the less a net overfits, and the more steps it needs;
            0.05 to 0.2 is usual.
        adaptive: $\epsilon_i$ is multiplied by $|w_i|$, so that large weights move more.
        name: of the optimiser.

    Raises:
        ValueError: if rho is not positive.
        TypeError: if the optimiser is a `LossScaleOptimizer`, which has to be outside, or a `SharpnessAware`.
        RuntimeError: in `apply`, if the gradients are not those of a second pass.

    Example:

    >>> model = keras.Sequential([keras.Input((8,)), keras.layers.Dense(2)])
    >>> model = contrast.optimizers.sharpness_aware(model)
    >>> model.compile(contrast.optimizers.SharpnessAware(keras.optimizers.SGD(0.1), rho=0.05), "mse")
    >>> history = model.fit(np.ones((4, 8)), np.ones((4, 2)), verbose=0)

    References: [Foret et al., 2021](https://arxiv.org/abs/2010.01412);
        [Chen et al., 2022](https://arxiv.org/abs/2106.01548) for transformers.
    """

    def __init__(
        self,
        optimizer: str | keras.optimizers.Optimizer,
        rho: float = 0.05,
        adaptive: bool = False,
        name: str = "sharpness_aware",
    ) -> None:
        optimizer = keras.optimizers.get(optimizer)
        if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
            raise TypeError(
                "SharpnessAware cannot wrap a LossScaleOptimizer; wrap SharpnessAware in it, "
                "LossScaleOptimizer(SharpnessAware(optimizer))."
            )
        if isinstance(optimizer, SharpnessAware):
            raise TypeError("SharpnessAware cannot wrap another SharpnessAware.")
        if not rho > 0:
            raise ValueError(f"rho must be positive, got {rho}.")
        super().__init__(learning_rate=lambda: optimizer.learning_rate, name=name)
        self.optimizer, self.rho, self.adaptive = optimizer, rho, adaptive
        self._has_ascended = False

    @property
    def variables(self) -> list[keras.Variable]:
        """Its own variable and those of the wrapped optimiser."""
        return [*self._variables, *self.optimizer.variables]

    @property
    def learning_rate(self) -> Any:
        """The rate of the wrapped optimiser."""
        return self.optimizer.learning_rate

    @learning_rate.setter
    def learning_rate(self, learning_rate: Any) -> None:
        self.optimizer.learning_rate = learning_rate

    @property
    def iterations(self) -> keras.Variable:
        """How many steps the wrapped optimiser has made."""
        return self.optimizer.iterations

    def build(self, variables: Sequence[keras.Variable]) -> None:
        if self.built:
            return
        variables = list(variables)
        with keras.name_scope(self.optimizer.name):
            self.optimizer.build(variables)
        super().build(variables)

    def ascend(self, gradients: Sequence[Tensor | None], weights: Sequence[Tensor]) -> list[Tensor]:
        r"""The weights at which the second gradients are taken.

        Args:
            gradients: list of gradients at the weights, `None` where there is none.
            weights: list of tensors.

        Returns:
            The list of $w + \epsilon$, in the dtypes of the weights.
        """
        known = [ops.cast(gradient, "float32") for gradient in gradients if gradient is not None]
        norm = ops.sqrt(sum((ops.sum(ops.square(gradient)) for gradient in known), ops.zeros(())))
        scale = self.rho / (norm + EPSILON)
        self._has_ascended = True
        return [
            weight if gradient is None else weight + self._epsilon(gradient, weight, scale)
            for gradient, weight in zip(gradients, weights, strict=True)
        ]

    def apply(
        self, grads: Sequence[Tensor], trainable_variables: Sequence[keras.Variable] | None = None
    ) -> None:
        """Moves the variables by gradients that were taken at the weights that `ascend` returned."""
        if not self._has_ascended:
            raise RuntimeError(
                "SharpnessAware needs a second gradient, which the ordinary training step does not take. "
                "Call contrast.optimizers.sharpness_aware(model) before fit, also after load_model."
            )
        self._has_ascended = False
        if trainable_variables is None:
            trainable_variables = self._trainable_variables
        if not self.built:
            self.build(trainable_variables)
        self.optimizer.apply(grads, trainable_variables)
        self._iterations.assign_add(1)

    def scale_loss(self, loss: Tensor) -> Tensor:
        return self.optimizer.scale_loss(loss)

    def exclude_from_weight_decay(
        self, var_list: Sequence[keras.Variable] | None = None, var_names: Sequence[str] | None = None
    ) -> None:
        """As for the wrapped optimiser."""
        self.optimizer.exclude_from_weight_decay(var_list=var_list, var_names=var_names)

    def finalize_variable_values(self, var_list: Sequence[keras.Variable]) -> None:
        self.optimizer.finalize_variable_values(var_list)

    def save_own_variables(self, store: Any) -> None:
        # The wrapped optimiser is saved as a child, with its own variables.
        store["0"] = self._iterations.numpy()

    def load_own_variables(self, store: Any) -> None:
        self._iterations.assign(store["0"])

    def get_config(self) -> dict[str, Any]:
        return {
            "optimizer": keras.saving.serialize_keras_object(self.optimizer),
            "rho": self.rho,
            "adaptive": self.adaptive,
            "name": self.name,
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Self:
        optimizer = keras.saving.deserialize_keras_object(config["optimizer"], custom_objects=custom_objects)
        return cls(**{**config, "optimizer": optimizer})

    def _epsilon(self, gradient, weight, scale):
        epsilon = scale * ops.cast(gradient, "float32")
        if self.adaptive:
            epsilon = epsilon * ops.abs(ops.cast(weight, "float32"))
        return ops.cast(epsilon, weight.dtype)


def sharpness_aware(model: keras.Model) -> keras.Model:
    r"""Gives a model the training step with two gradients that `SharpnessAware` needs.

    It works for every `keras.Model`, Sequential and functional ones and those with a `compute_loss` of their
    own included, before or after `compile`. With another optimiser the model trains as before.

    Both passes see the same loss: the same batch, the same masks of dropout, the same state of queues,
    teachers and moving statistics, which change once a step, as the first pass says. Loss and metrics that
    `fit` reports are those at the weights, not at the worst point nearby.

    The step belongs to this object: `load_model` brings the optimiser back, but not the step, so call this
    once more on what it returns. A class of your own may call it at the end of its `__init__` instead.

    Args:
        model: a `keras.Model` with the training step of Keras.

    Returns:
        The same model.

    Raises:
        TypeError: if this is no model, or its class has a `train_step` of its own.
        NotImplementedError: in a step on several replicas of `tf.distribute`.
    """
    if not isinstance(model, keras.Model):
        raise TypeError(f"model must be a keras.Model, got {type(model).__name__}.")
    if type(model).train_step is not keras.Model.train_step:
        raise TypeError(
            f"{type(model).__name__} has a train_step of its own, which a step with two gradients would "
            "replace; override compute_loss instead."
        )
    model.train_step = functools.partial(_train_step, model)
    model.train_function = None  # made from the step at the next fit
    return model


def _train_step(model, *arguments):
    optimizer = model.optimizer
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        optimizer = optimizer.inner_optimizer
    if not isinstance(optimizer, SharpnessAware):
        return type(model).train_step(model, *arguments)
    if backend.replica_count() > 1:
        raise NotImplementedError(
            "SharpnessAware does not run on several replicas of tf.distribute, each of which would look at "
            "other weights; use one replica, or JAX with keras.distribution."
        )
    return backend.two_gradient_step(model, optimizer.ascend)(*arguments)
