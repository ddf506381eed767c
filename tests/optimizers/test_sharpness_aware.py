import functools

import keras
import numpy as np
import pytest
from keras import ops

from contrast import backend
from contrast.layers import MemoryQueue
from contrast.losses import total_loss
from contrast.optimizers import SharpnessAware, WarmupCosine, sharpness_aware
from tests.case import assert_close, to_numpy

rng = np.random.default_rng(0)
INPUTS = rng.normal(size=(12, 4)).astype("float32")
TARGETS = rng.normal(size=(12, 2)).astype("float32")
NAMES = ("w1", "b1", "w2", "b2")


def values(variables):
    return [to_numpy(v).copy() for v in variables]


def golden_net(case):
    net = keras.Sequential(
        [
            keras.Input(case["x"].shape[1:]),
            keras.layers.Dense(case["b1"].size, activation="tanh"),
            keras.layers.Dense(case["b2"].size),
        ]
    )
    net.set_weights([case[name] for name in NAMES])
    return sharpness_aware(net)


@pytest.fixture
def case(golden):
    arrays = golden("sharpness_aware_vit")
    return {**arrays, **{name: arrays[f"param_{name}"] for name in NAMES}}


def fit_golden(case, optimizer, steps=1):
    net = golden_net(case)
    net.compile(optimizer, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    history = net.fit(case["x"], case["y"], batch_size=len(case["x"]), epochs=steps, verbose=0)
    return net, history.history["loss"]


@pytest.mark.golden
def test_official_step(case):
    optimizer = SharpnessAware(keras.optimizers.SGD(float(case["learning_rate"])), float(case["rho"]))
    net, losses = fit_golden(case, optimizer)
    assert_close(losses[0], case["loss_clean"].astype("float32"))
    for name, weight in zip(NAMES, net.weights, strict=True):
        assert_close(weight, case[f"param_after_sgd_{name}"])
        moved = case[name] - to_numpy(weight)
        assert_close(moved / case["learning_rate"], case[f"grad_sam_{name}"], 1e-4)


@pytest.mark.golden
def test_official_steps_with_momentum(case):
    inner = keras.optimizers.SGD(float(case["learning_rate"]), momentum=0.9)
    net, _ = fit_golden(case, SharpnessAware(inner, float(case["rho"])), steps=2)
    for name, weight in zip(NAMES, net.weights, strict=True):
        assert_close(weight, case[f"param_after_2_momentum_steps_{name}"])


@pytest.mark.golden
def test_official_perturbation(case):
    optimizer = SharpnessAware("sgd", float(case["rho"]))
    gradients, weights = ([case[f"{kind}_{n}"] for n in NAMES] for kind in ("grad_clean", "param"))
    tensors = [ops.convert_to_tensor(w.astype("float32")) for w in weights]
    for moved, name in zip(optimizer.ascend(gradients, tensors), NAMES, strict=True):
        assert_close(moved, case[f"param_perturbed_{name}"])


@keras.saving.register_keras_serializable(package="contrast_tests")
class Quadratic(keras.Model):
    """L = mean over the batch of (x . w)**2 / 2, so that the gradient is A w with A = mean of x x."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.w = self.add_weight(shape=(4,), initializer=keras.initializers.Constant([1, -2, 3, 0.5]))

    def call(self, inputs):
        return ops.sum(inputs * self.w, axis=-1)

    def compute_loss(self, x, y=None, y_pred=None, sample_weight=None, training=True):
        return total_loss(self, mean=ops.mean(ops.square(y_pred)) / 2)


@pytest.mark.parametrize("adaptive", [False, True])
def test_quadratic(adaptive):
    """The known step, from the weights of a closed form; fit reports the loss at the weights."""
    w, A, losses = np.array([1, -2, 3, 0.5]), INPUTS.T.astype("float64") @ INPUTS / len(INPUTS), []
    for _ in range(3):
        losses.append(w @ A @ w / 2)
        g = A @ w
        epsilon = 0.3 * g / np.linalg.norm(g) * (np.abs(w) if adaptive else 1)
        w = w - 0.1 * A @ (w + epsilon)
    model = sharpness_aware(Quadratic())
    model.compile(SharpnessAware(keras.optimizers.SGD(0.1), rho=0.3, adaptive=adaptive))
    history = model.fit(INPUTS, batch_size=12, epochs=3, verbose=0)
    assert_close(model.w, w)
    assert_close(history.history["loss"], np.array(losses))


def noisy_net():
    keras.utils.set_random_seed(3)
    return keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(6, use_bias=False),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.5, seed=7),
            keras.layers.Dense(2, kernel_regularizer=keras.regularizers.L2(0.1)),
        ]
    )


def by_hand(model, batches, rho, rate):
    """The steps written out: weights, and what is left in the other variables."""
    weights = [ops.copy(ops.convert_to_tensor(v)) for v in model.trainable_variables]
    others = [ops.copy(ops.convert_to_tensor(v)) for v in model.non_trainable_variables]

    def forward(x, *weights):
        return model.stateless_call(list(weights), others, x, training=True, return_losses=True)

    def loss(x, y, *weights):
        y_pred, _, losses = forward(x, *weights)
        return ops.mean(ops.square(ops.subtract(y_pred, y))) + sum(losses)

    for x, y in batches:
        of_batch = functools.partial(loss, x, y)
        _, gradients = backend.value_and_grad(of_batch, *weights)
        norm = np.sqrt(sum((to_numpy(g).astype("float64") ** 2).sum() for g in gradients))
        moved = [w + rho / norm * g for w, g in zip(weights, gradients, strict=True)]
        _, second = backend.value_and_grad(of_batch, *moved)
        left = [ops.copy(ops.stop_gradient(v)) for v in forward(x, *weights)[1]]
        weights = [w - rate * g for w, g in zip(weights, second, strict=True)]
        others = left
    return values(weights), values(others)


def test_fit_equals_the_steps_by_hand():
    """Moving statistics and the state of dropout change once a step; the last batch is smaller."""
    model = noisy_net()
    batches = [(INPUTS[i : i + 5], TARGETS[i : i + 5]) for i in (0, 5, 10)]
    weights, others = by_hand(model, batches, rho=0.2, rate=0.1)
    sharpness_aware(model).compile(SharpnessAware(keras.optimizers.SGD(0.1), rho=0.2), "mse")
    model.fit(INPUTS, TARGETS, batch_size=5, shuffle=False, verbose=0)
    for ours, theirs in zip(model.trainable_variables, weights, strict=True):
        assert_close(ours, theirs, 1e-4)
    for ours, theirs in zip(model.non_trainable_variables, others, strict=True):
        assert_close(ours, theirs, 1e-4)


class Linear(keras.Model):
    """A loss that is linear in the weights, so that both gradients are equal if the masks are."""

    def __init__(self):
        super().__init__()
        self.dropout, self.dense = keras.layers.Dropout(0.5), keras.layers.Dense(2, use_bias=False)
        self.queue, self.seen = MemoryQueue(20, 4), keras.metrics.Sum(name="seen")

    def call(self, inputs, training=False):
        return self.dense(self.dropout(inputs, training=training))

    def compute_loss(self, x, y=None, y_pred=None, sample_weight=None, training=True):
        self.queue.enqueue(x)
        self.seen.update_state(ops.ones(()))
        return ops.mean(y_pred)


def test_one_mask_one_enqueue_one_metric_a_step():
    weights = []
    for optimizer in (keras.optimizers.SGD(0.1), SharpnessAware(keras.optimizers.SGD(0.1), rho=1.0)):
        keras.utils.set_random_seed(5)
        model = sharpness_aware(Linear())
        model.compile(optimizer)
        history = model.fit(INPUTS, batch_size=6, shuffle=False, verbose=0)
        weights.append(to_numpy(model.dense.kernel))
        assert to_numpy(model.queue.counts).tolist() == [12]
        assert history.history["seen"] == [2.0]
    assert_close(weights[1], weights[0])


class Words(keras.Model):
    """An embedding, and a layer that takes no part."""

    def __init__(self):
        super().__init__()
        self.embedding, self.unused = keras.layers.Embedding(5, 2), keras.layers.Dense(2)
        self.embedding.build((None, 3))
        self.unused.build((None, 2))

    def call(self, ids):
        return self.embedding(ids)


def test_a_sparse_gradient_and_none():
    model = Words()
    sharpness_aware(model).compile(SharpnessAware(keras.optimizers.SGD(1.0), rho=0.5), "mse")
    before = values(model.trainable_variables)
    ids = np.array([[0, 1, 2], [2, 2, 1]])
    model.fit(ids, np.ones((2, 3, 2)), verbose=0)
    count = np.bincount(ids.reshape(-1), minlength=5)[:, None] / ids.size  # the loss is mean (E - 1)**2
    gradient = count * (before[0] - 1)
    moved = before[0] + 0.5 * gradient / np.linalg.norm(gradient)
    after = values(model.trainable_variables)
    assert_close(after[0], before[0] - count * (moved - 1))
    assert_close(after[1], before[1])


def test_zero_gradient():
    optimizer = SharpnessAware("sgd")
    weights = [ops.ones((3,))]
    assert_close(optimizer.ascend([ops.zeros((3,))], weights)[0], np.ones(3))
    assert optimizer.ascend([None], weights)[0] is weights[0]


@pytest.mark.parametrize("policy", ["mixed_float16", pytest.param("mixed_bfloat16", marks=pytest.mark.once)])
def test_mixed_precision(policy):
    """Loss scaling leaves the step as it is, up to the precision of the policy."""
    weights = []
    for chosen in ("float32", policy):
        keras.utils.set_random_seed(3)
        model = sharpness_aware(keras.Sequential([keras.Input((4,)), keras.layers.Dense(2, dtype=chosen)]))
        optimizer = SharpnessAware(keras.optimizers.SGD(0.1), rho=0.5)
        if chosen == "mixed_float16":
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=128.0)
        model.compile(optimizer, "mse")
        model.fit(INPUTS, TARGETS, batch_size=12, epochs=2, verbose=0)
        weights.append(to_numpy(model.trainable_variables[0]))
    assert_close(weights[1], weights[0], 2e-2)
    assert np.abs(weights[1] - weights[0]).max() > 0


def test_an_overflow_under_loss_scaling_skips_the_step():
    model = sharpness_aware(Quadratic())
    scaled = keras.optimizers.LossScaleOptimizer(
        SharpnessAware(keras.optimizers.SGD(0.1)), initial_scale=1e38
    )
    model.compile(scaled)
    model.fit(1e3 * INPUTS, batch_size=12, verbose=0)
    assert_close(model.w, [1, -2, 3, 0.5])
    assert float(to_numpy(scaled.dynamic_scale)) == pytest.approx(5e37, rel=1e-3)


def test_round_trip(tmp_path):
    """A loaded model goes on as the saved one would have, once it has its step again."""
    inner = keras.optimizers.Adam(WarmupCosine(0.1, total_steps=9), weight_decay=0.1)
    model = sharpness_aware(noisy_net())
    model.compile(SharpnessAware(inner, rho=0.2, adaptive=True), "mse")
    model.fit(INPUTS, TARGETS, batch_size=12, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert type(loaded) is type(model)
    assert (loaded.optimizer.rho, loaded.optimizer.adaptive) == (0.2, True)
    for ours, theirs in zip(loaded.optimizer.variables, model.optimizer.variables, strict=True):
        assert_close(ours, to_numpy(theirs))
    assert len(loaded.optimizer.variables) > 8
    with pytest.raises(RuntimeError, match="sharpness_aware.model. before fit, also after load_model"):
        loaded.fit(INPUTS, TARGETS, batch_size=12, verbose=0)
    loaded = sharpness_aware(keras.models.load_model(tmp_path / "model.keras"))
    for net in (model, loaded):
        net.layers[2].seed_generator.state.assign([7, 0])  # not in `.keras` files
        net.fit(INPUTS, TARGETS, batch_size=12, shuffle=False, verbose=0)
    for ours, theirs in zip(loaded.weights, model.weights, strict=True):
        assert_close(ours, to_numpy(theirs))


def test_several_replicas_are_refused(monkeypatch):
    monkeypatch.setattr(backend, "replica_count", lambda: 2)
    model = sharpness_aware(noisy_net())
    model.compile(SharpnessAware("sgd"), "mse")
    with pytest.raises(NotImplementedError, match="several replicas"):
        model.train_step(None)


@pytest.mark.once
def test_another_optimizer_trains_as_before():
    weights = []
    for prepare in (lambda model: model, sharpness_aware):
        keras.utils.set_random_seed(2)
        model = prepare(keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]))
        model.compile(keras.optimizers.SGD(0.1), "mse")
        model.fit(INPUTS, TARGETS, batch_size=12, shuffle=False, verbose=0)
        weights.append(to_numpy(model.trainable_variables[0]))
    assert_close(weights[1], weights[0])


@pytest.mark.once
def test_it_is_an_optimizer_like_the_wrapped_one():
    optimizer = SharpnessAware(keras.optimizers.SGD(0.1, momentum=0.9))
    optimizer.learning_rate = 0.5
    assert float(to_numpy(optimizer.optimizer.learning_rate)) == 0.5
    model = sharpness_aware(keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]))
    model.compile(optimizer, "mse")
    model.fit(INPUTS, TARGETS, batch_size=6, verbose=0)
    assert int(to_numpy(optimizer.iterations)) == 2
    copy = SharpnessAware.from_config(optimizer.get_config())
    assert copy.get_config() == optimizer.get_config()


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: SharpnessAware("sgd", rho=0), ValueError, "rho must be positive, got 0"),
        (lambda: SharpnessAware(SharpnessAware("sgd")), TypeError, "another SharpnessAware"),
        (
            lambda: SharpnessAware(keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD())),
            TypeError,
            "wrap SharpnessAware in it",
        ),
        (lambda: sharpness_aware(keras.layers.Dense(2)), TypeError, "keras.Model, got Dense"),
        (lambda: sharpness_aware(WithStep()), TypeError, "WithStep has a train_step of its own"),
        (lambda: SharpnessAware("sgd").apply([], []), RuntimeError, "second gradient"),
    ],
)
def test_bad_input(call, error, says):
    with pytest.raises(error, match=says):
        call()


class WithStep(keras.Model):
    def train_step(self, *arguments):
        return {}
