import re
from collections.abc import Sequence
from typing import Any, Self

import keras
from keras import ops
from numpy.typing import ArrayLike

from contrast import backend
from contrast.optimizers.part import Part, check_optimizer, listed, nothing_selected
from contrast.typing import Tensor

DEFAULT = "default"


@keras.saving.register_keras_serializable(package="contrast")
class PartitionedOptimizer(keras.optimizers.Optimizer):
    """Gives named parts of a model their own optimiser, learning rate and rhythm.

    Use it where a pretrained encoder wants a smaller rate than the layers on top of it, where two sides of a
    model are trained by different optimisers, or where one part moves every k-th step only. Each part's
    optimiser does everything of its own: schedule, weight decay, clipping (`global_clipnorm` is the norm of
    the part's gradients) and iterations, which count the updates of that part.

    Only trainable variables are divided; frozen ones belong to no part. Layers given as objects may be built
    later than the optimiser, but before the first step. Saved with a model, the division is kept by paths;
    layers to which Keras gave a number (`dense_1`) are found again under another number. Averages of weights
    (`use_ema`) and loss scaling are not the parts' business: for `mixed_float16` wrap this optimiser, or let
    `compile` do so.

    `learning_rate` is the rate of `default`, or of the first part if there is none. Setting it multiplies the
    rates of all parts by the same factor, so that their ratios stay: `keras.callbacks.ReduceLROnPlateau`
    lowers all of them. `keras.callbacks.LearningRateScheduler` asks its function for each of `optimizers` in
    turn, with that optimiser's own rate, and logs `learning_rate_<name of the optimiser>`. One part's rate is
    set by `optimizer.optimizer_of("encoder").learning_rate = 1e-5`. Where a part follows a schedule, setting
    `learning_rate` and both callbacks raise a TypeError.

    Args:
        parts: list of `Part`.
        default: optimiser of all variables that no part selects; `None`: there must be none.
        no_weight_decay: names of variables that no part decays, such as `("bias", "gamma", "beta")`. Saved,
            unlike what `exclude_from_weight_decay` of an optimiser sets.
        name: of the optimiser.
        assignment: what a saved optimiser remembers of the variables it was built for; not to be given.

    Raises:
        ValueError: when created: if two parts have the same name or share an optimiser. When built: if a part
            selects no trainable variable, two parts select the same one, or a variable has no part.
        TypeError: if `parts` holds anything else than `Part`.
        NotImplementedError: in a step, if a part has `every` above 1 on several replicas of `tf.distribute`.

    Example:

    >>> encoder = keras.Sequential([keras.Input((8,)), keras.layers.Dense(4)], name="encoder")
    >>> model = keras.Sequential([encoder, keras.layers.Dense(2)])
    >>> optimizer = contrast.optimizers.PartitionedOptimizer(
    ...     [contrast.optimizers.Part("encoder", keras.optimizers.SGD(5e-5), every=2)],
    ...     default=keras.optimizers.AdamW(1e-4),
    ... )
    >>> model.compile(optimizer, "mse")
    >>> history = model.fit(np.ones((4, 8)), np.ones((4, 2)), verbose=0)
    >>> [path.split("/")[-1] for path in optimizer.paths_of("encoder")]
    ['kernel', 'bias']
    """

    def __init__(
        self,
        parts: Sequence[Part],
        default: str | keras.optimizers.Optimizer | None = None,
        no_weight_decay: Sequence[str] = (),
        name: str = "partitioned",
        assignment: Any = None,
    ) -> None:
        parts = list(parts)
        for part in parts:
            if not isinstance(part, Part):
                raise TypeError(f"parts must be a list of Part, got {type(part).__name__} in it.")
        defaults = [] if default is None else [keras.optimizers.get(default)]
        names = [part.name for part in parts] + [DEFAULT] * len(defaults)
        if not names:
            raise ValueError("PartitionedOptimizer needs parts or a default, got neither.")
        twice = sorted({n for n in names if names.count(n) > 1})
        if twice:
            raise ValueError(f"every part needs a name of its own, got {', '.join(map(repr, twice))} twice.")
        optimizers = [part.optimizer for part in parts] + defaults
        for optimizer, part_name in zip(optimizers, names, strict=True):
            check_optimizer(optimizer, part_name)
        if len({id(optimizer) for optimizer in optimizers}) < len(optimizers):
            raise ValueError("two parts share one optimizer object; give each its own.")
        lead = optimizers[-1] if defaults else optimizers[0]
        super().__init__(learning_rate=lambda: lead.learning_rate, name=name)
        self._parts, self._optimizers, self._names = tuple(parts), tuple(optimizers), tuple(names)
        self._every = tuple([part.every for part in parts] + [1] * len(defaults))
        self._lead, self._has_default = lead, bool(defaults)
        self._assignment, self._part_numbers = assignment, {}
        self.no_weight_decay = tuple(no_weight_decay)
        if self.no_weight_decay:
            self.exclude_from_weight_decay(var_names=list(self.no_weight_decay))

    @property
    def optimizers(self) -> list[keras.optimizers.Optimizer]:
        """The optimisers of the parts in order, then the default."""
        return list(self._optimizers)

    @property
    def variables(self) -> list[keras.Variable]:
        """Its own variable and those of all parts."""
        return [*self._variables, *(v for optimizer in self._optimizers for v in optimizer.variables)]

    @property
    def learning_rate(self) -> Any:
        """The rate of the default, or of the first part; setting it scales all parts by one factor."""
        return self._lead.learning_rate

    @learning_rate.setter
    def learning_rate(self, learning_rate: Any) -> None:
        pairs = zip(self._names, self._optimizers, strict=True)
        followed = [name for name, optimizer in pairs if callable(optimizer._learning_rate)]
        if followed or callable(learning_rate):
            raise TypeError(
                f"learning_rate cannot be set: {', '.join(map(repr, followed)) or 'what was given'} follows "
                "a schedule. Set the rate of each other part with optimizer_of(name).learning_rate = rate."
            )
        current = float(ops.convert_to_numpy(self._lead.learning_rate))
        if current == 0:
            raise ValueError("learning_rate is 0 and cannot be scaled; set the rate of each of optimizers.")
        rates = [float(ops.convert_to_numpy(o.learning_rate)) for o in self._optimizers]
        for optimizer, rate in zip(self._optimizers, rates, strict=True):
            optimizer.learning_rate = rate * (float(learning_rate) / current)

    def optimizer_of(self, name: str) -> keras.optimizers.Optimizer:
        """The optimiser of the part of this name; `"default"` is the default's.

        Raises:
            ValueError: if there is no such part.
        """
        return self._optimizers[self._number_of(name)]

    def paths_of(self, name: str) -> list[str]:
        """The paths of the variables in the part of this name; known once the optimiser is built.

        Raises:
            ValueError: if there is no such part, or the optimiser is not built.
        """
        number = self._number_of(name)
        if not self.built:
            raise ValueError("paths_of needs a built optimizer; call optimizer.build(trainable_variables).")
        return [v.path for v in self._trainable_variables if self._part_numbers[self._var_key(v)] == number]

    def exclude_from_weight_decay(
        self, var_list: Sequence[keras.Variable] | None = None, var_names: Sequence[str] | None = None
    ) -> None:
        """As for one optimiser, in all parts."""
        for optimizer in self._optimizers:
            optimizer.exclude_from_weight_decay(var_list=var_list, var_names=var_names)

    def build(self, variables: Sequence[keras.Variable]) -> None:
        if self.built:
            return
        variables = list(variables)
        numbers = self._recalled(variables) or self._divided(variables)
        for number, optimizer in enumerate(self._optimizers):
            with keras.name_scope(optimizer.name):
                optimizer.build([v for v, n in zip(variables, numbers, strict=True) if n == number])
        self._part_numbers = {self._var_key(v): n for v, n in zip(variables, numbers, strict=True)}
        self._assignment = [
            [v.path, list(v.shape), self._names[n]] for v, n in zip(variables, numbers, strict=True)
        ]
        super().build(variables)

    def apply(
        self, grads: Sequence[Tensor], trainable_variables: Sequence[keras.Variable] | None = None
    ) -> None:
        """One step: moves every part that is due. A part without any gradient stays as it is.

        Args:
            grads: list of gradients, `None` where there is none.
            trainable_variables: the variables that they belong to; `None`: those of `build`.
        """
        grads = list(grads)
        if trainable_variables is None:
            trainable_variables = self._trainable_variables
        variables = list(trainable_variables)
        if len(grads) != len(variables):
            raise ValueError(f"got {len(grads)} gradients for {len(variables)} variables; build first.")
        if not self.built:
            self.build(variables)
        self._check_variables_are_known(variables)
        if all(gradient is None for gradient in grads):
            raise ValueError("No gradients provided for any variable.")
        for number, (optimizer, every) in enumerate(zip(self._optimizers, self._every, strict=True)):
            pairs = [
                (g, v)
                for g, v in zip(grads, variables, strict=True)
                if self._part_numbers[self._var_key(v)] == number
            ]
            if any(gradient is not None for gradient, _ in pairs):
                gradients, moved = map(list, zip(*pairs, strict=True))
                if every == 1:
                    optimizer.apply(gradients, moved)
                else:
                    due = ops.equal(ops.mod(self._iterations + 1, every), 0)
                    _apply_if(due, optimizer, gradients, moved)
        self._iterations.assign_add(1)

    def set_weights(self, weights: Sequence[ArrayLike]) -> None:
        """Sets `variables`, in their order."""
        variables = self.variables
        if len(weights) != len(variables):
            raise ValueError(f"the optimizer has {len(variables)} variables, got {len(weights)} weights.")
        for variable, weight in zip(variables, weights, strict=True):
            variable.assign(weight)

    def save_own_variables(self, store: Any) -> None:
        # The parts' optimisers are saved as children, each with its own variables.
        store["0"] = self._iterations.numpy()

    def load_own_variables(self, store: Any) -> None:
        self._iterations.assign(store["0"])

    def get_config(self) -> dict[str, Any]:
        return {
            "parts": [
                {
                    "variables": part.patterns(),
                    "optimizer": keras.saving.serialize_keras_object(part.optimizer),
                    "every": part.every,
                    "name": part.name,
                }
                for part in self._parts
            ],
            "default": keras.saving.serialize_keras_object(self._lead) if self._has_default else None,
            "no_weight_decay": list(self.no_weight_decay),
            "name": self.name,
            "assignment": self._assignment and [list(row) for row in self._assignment],
        }

    @classmethod
    def from_config(cls, config: dict[str, Any], custom_objects: dict[str, Any] | None = None) -> Self:
        def optimizer(saved):
            return saved and keras.saving.deserialize_keras_object(saved, custom_objects=custom_objects)

        parts = [Part(**{**part, "optimizer": optimizer(part["optimizer"])}) for part in config["parts"]]
        return cls(**{**config, "parts": parts, "default": optimizer(config["default"])})

    def _number_of(self, name):
        if name not in self._names:
            raise ValueError(f"name must be one of {', '.join(map(repr, self._names))}, got {name!r}.")
        return self._names.index(name)

    def _divided(self, variables):
        """For each variable the number of its part."""
        owners = [[n for n, part in enumerate(self._parts) if part.matches(v)] for v in variables]
        for variable, numbers in zip(variables, owners, strict=True):
            if len(numbers) > 1:
                names = " and ".join(repr(self._names[n]) for n in numbers)
                raise ValueError(f"variable {variable.path!r} is selected by two parts, {names}.")
        for number, part in enumerate(self._parts):
            if [number] not in owners:
                raise ValueError(nothing_selected(part, variables))
        left = [v.path for v, numbers in zip(variables, owners, strict=True) if not numbers]
        if left and not self._has_default:
            raise ValueError(f"no part selects {listed(left)}; add a part or give a default optimizer.")
        return [numbers[0] if numbers else len(self._parts) for numbers in owners]

    def _recalled(self, variables):
        """The saved division, if these are the saved variables with other paths.

        Keras gives unnamed layers other numbers in a loaded model, and may leave out the outer scopes.
        """
        saved = self._assignment
        if not saved or len(saved) != len(variables):
            return None
        if [v.path for v in variables] == [path for path, _, _ in saved]:
            return None
        same = all(
            list(v.shape) == list(shape) and _one_ends_as_the_other(_unnumbered(v.path), _unnumbered(path))
            for v, (path, shape, _) in zip(variables, saved, strict=True)
        )
        return [self._number_of(name) for _, _, name in saved] if same else None


def _apply_in_place(due, optimizer, gradients, variables):
    if backend.replica_count() > 1:
        raise NotImplementedError(
            "a part with every above 1 does not run on several replicas of tf.distribute, whose all-reduce "
            "may not stand in a branch; set every=1, or use one replica, or JAX."
        )
    ops.cond(due, lambda: optimizer.apply(gradients, variables), lambda: None)


def _apply_functional(due, optimizer, gradients, variables):
    state = [*variables, *optimizer.variables]
    values = [ops.convert_to_tensor(variable) for variable in state]

    def step():
        with keras.StatelessScope(state_mapping=list(zip(state, values, strict=True))) as scope:
            optimizer.apply(gradients, variables)
        return [scope.get_current_value(variable) for variable in state]

    for variable, value in zip(state, ops.cond(due, step, lambda: values), strict=True):
        variable.assign(value)


# A branch of JAX's cond must not assign variables; TensorFlow's and PyTorch's optimisers can only do that.
_apply_if = _apply_functional if keras.backend.backend() == "jax" else _apply_in_place


def _unnumbered(path):
    """A path without the numbers that Keras gives to unnamed layers."""
    return re.sub(r"_\d+(?=/|$)", "", path)


def _one_ends_as_the_other(path, other):
    shorter, longer = sorted((f"/{path}", f"/{other}"), key=len)
    return longer.endswith(shorter)
