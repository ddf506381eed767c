import keras
import numpy as np
import pytest
from keras import ops

from contrast import backend
from contrast.optimizers import WarmupCosine
from contrast.optimizers.part import Part
from contrast.optimizers.partitioned import PartitionedOptimizer
from tests.case import assert_close, to_numpy

rng = np.random.default_rng(0)
INPUTS = rng.normal(size=(8, 4)).astype("float32")
TARGETS = rng.normal(size=(8, 2)).astype("float32")
GRADIENT = {"encoder": (rng.normal(size=(4, 3)), rng.normal(size=3)), "head": (rng.normal(size=(3, 2)),)}


def net(**options):
    return keras.Sequential(
        [
            keras.Input((4,)),
            keras.layers.Dense(3, name="encoder", **options),
            keras.layers.Dense(2, use_bias=False, name="head"),
        ]
    )


@keras.saving.register_keras_serializable(package="contrast_tests")
class Unnamed(keras.Model):
    """Layers that Keras numbers, and a gradient that is the same at every step."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.first, self.second = keras.layers.Dense(3), keras.layers.Dense(2, use_bias=False)

    def call(self, inputs):
        return self.second(self.first(inputs))

    def compute_loss(self, x, y, y_pred, sample_weight=None, training=True):
        weights = self.first.trainable_variables + self.second.trainable_variables
        gradients = [ops.cast(g, "float32") for g in (*GRADIENT["encoder"], *GRADIENT["head"])]
        return sum(ops.sum(w * g) for w, g in zip(weights, gradients, strict=True))


def build(optimizer, model=None):
    model = model or net()
    optimizer.build(model.trainable_variables)
    return optimizer


def values(variables):
    return [to_numpy(v).copy() for v in variables]


def sgd():
    return keras.optimizers.SGD(WarmupCosine(0.5, total_steps=9), momentum=0.9, clipnorm=0.5)


def adamw():
    return keras.optimizers.AdamW(0.1, weight_decay=0.1, gradient_accumulation_steps=2)


@pytest.mark.parametrize("every", [1, 3])
def test_fit_moves_each_part_as_its_own_optimizer_would(every, tmp_path):
    model = Unnamed()
    model(INPUTS)
    twins = {
        "encoder": [keras.Variable(v, name="w") for v in values(model.first.weights)],
        "head": [keras.Variable(v, name="w") for v in values(model.second.weights)],
    }
    alone = {"encoder": sgd(), "head": adamw()}
    model.compile(PartitionedOptimizer([Part(model.first, sgd(), every, "encoder")], default=adamw()))
    for step in range(1, 8):
        model.fit(INPUTS, batch_size=8, verbose=0)
        for name in ("head", "encoder")[: 1 + (step % every == 0)]:
            gradients = [ops.convert_to_tensor(g.astype("float32")) for g in GRADIENT[name]]
            alone[name].apply(gradients, twins[name])
        for variable, twin in zip(model.trainable_variables, twins["encoder"] + twins["head"], strict=True):
            assert_close(variable, to_numpy(twin), 1e-6)
        if step == 4:
            # Loaded layers have other numbers, and the state goes on where it was.
            model.save(tmp_path / "model.keras")
            model = keras.models.load_model(tmp_path / "model.keras")
    optimizer = model.optimizer
    assert [int(to_numpy(o._iterations)) for o in (optimizer, *optimizer.optimizers)] == [7, 7 // every, 7]
    assert optimizer.paths_of("encoder") == [v.path for v in model.first.weights]


def test_half_precision_scales_the_loss_around_all_parts():
    model = net(dtype="mixed_float16")
    optimizer = PartitionedOptimizer([Part("encoder", "sgd", every=2)], default="adam")
    model.compile(keras.optimizers.LossScaleOptimizer(optimizer, initial_scale=8.0), "mse")
    before = values(model.weights)
    moved = []
    for _ in range(2):
        model.fit(INPUTS, TARGETS, verbose=0)
        moved.append([not np.array_equal(a, b) for a, b in zip(values(model.weights), before, strict=True)])
    assert moved == [[False, False, True], [True, True, True]]


def test_saved_and_loaded_with_patterns_and_state(tmp_path):
    model = net()
    parts = [Part("encoder", keras.optimizers.SGD(0.1, momentum=0.9), every=2)]
    model.compile(PartitionedOptimizer(parts, "adamw", no_weight_decay=("bias",)), "mse")
    model.fit(INPUTS, TARGETS, epochs=3, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    ours, theirs = loaded.optimizer.get_config(), model.optimizer.get_config()
    assert [row[1:] for row in ours.pop("assignment")] == [row[1:] for row in theirs.pop("assignment")]
    assert ours == theirs
    for ours, theirs in zip(loaded.optimizer.variables, model.optimizer.variables, strict=True):
        np.testing.assert_array_equal(to_numpy(ours), to_numpy(theirs))
    for twin in (model, loaded):
        twin.fit(INPUTS, TARGETS, verbose=0)
    for ours, theirs in zip(loaded.weights, model.weights, strict=True):
        assert_close(ours, to_numpy(theirs), 1e-6)
    fresh = build(PartitionedOptimizer.from_config(model.optimizer.get_config()))
    fresh.set_weights(values(model.optimizer.variables))
    for ours, theirs in zip(fresh.variables, model.optimizer.variables, strict=True):
        np.testing.assert_array_equal(to_numpy(ours), to_numpy(theirs))


@pytest.mark.parametrize(
    ("pattern", "paths"),
    [
        ("encoder", ["encoder/kernel", "encoder/bias"]),
        ("encoder/.*", ["encoder/kernel", "encoder/bias"]),
        ("bias", ["encoder/bias"]),
        (["bias", "head/k.*"], ["encoder/bias", "head/kernel"]),
    ],
)
def test_patterns_cover_whole_components(pattern, paths):
    model = net()
    selected = build(PartitionedOptimizer([Part(pattern, "sgd", name="p")], "sgd"), model).paths_of("p")
    assert [path.removeprefix(f"{model.name}/") for path in selected] == paths


def test_layers_and_variables_as_objects():
    model = net()
    parts = [Part(model.layers[0], "sgd"), Part([model.layers[1].kernel], "sgd", name="kernel")]
    optimizer = build(PartitionedOptimizer(parts), model)
    assert [len(optimizer.paths_of(name)) for name in ("encoder", "kernel")] == [2, 1]
    twin = build(PartitionedOptimizer.from_config(optimizer.get_config()), model)
    assert twin.paths_of("encoder") == optimizer.paths_of("encoder")


def test_weight_decay_spares_what_it_is_told_to():
    model = net()
    rates = {"weight_decay": 0.5, "learning_rate": 0.1}
    parts = [Part("encoder", keras.optimizers.SGD(**rates))]
    optimizer = PartitionedOptimizer(parts, keras.optimizers.SGD(**rates), no_weight_decay=("bias",))
    model.layers[0].bias.assign([1.0, 1.0, 1.0])
    before = values(model.weights)
    optimizer.apply([ops.zeros(v.shape) for v in model.trainable_variables], model.trainable_variables)
    for variable, old, factor in zip(model.weights, before, (0.95, 1.0, 0.95), strict=True):
        assert_close(variable, factor * old)


def test_a_part_without_gradient_stays():
    model = net()
    optimizer = build(PartitionedOptimizer([Part("encoder", "sgd")], "sgd"), model)
    optimizer.apply([None, None, ops.ones((3, 2))])
    assert [int(to_numpy(o.iterations)) for o in optimizer.optimizers] == [0, 1]
    with pytest.raises(ValueError, match="No gradients"):
        optimizer.apply([None, None, None])


def test_rates_and_callbacks():
    model = net()
    encoder, head = keras.optimizers.SGD(0.01, name="e"), keras.optimizers.SGD(0.1, name="h")
    optimizer = PartitionedOptimizer([Part("encoder", encoder)], head)
    model.compile(optimizer, "mse")
    assert float(to_numpy(optimizer.learning_rate)) == pytest.approx(0.1)
    optimizer.learning_rate = 0.05
    assert float(to_numpy(optimizer.optimizer_of("encoder").learning_rate)) == pytest.approx(0.005)
    schedule = keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate * 0.5)
    plateau = keras.callbacks.ReduceLROnPlateau("loss", factor=0.1, patience=1, min_delta=1e9)
    history = model.fit(INPUTS, TARGETS, epochs=2, callbacks=[schedule, plateau], verbose=0).history
    assert history["learning_rate_e"] == pytest.approx([0.0025, 0.00125])
    assert float(to_numpy(encoder.learning_rate)) == pytest.approx(0.000125)
    assert float(to_numpy(head.learning_rate)) == pytest.approx(0.00125)
    only = PartitionedOptimizer([Part("encoder", keras.optimizers.SGD(0.0))])
    with pytest.raises(ValueError, match="each of optimizers"):
        only.learning_rate = 0.1
    scheduled = PartitionedOptimizer([Part("encoder", sgd())], keras.optimizers.SGD(0.1))
    with pytest.raises(TypeError, match="'encoder' follows a schedule"):
        scheduled.learning_rate = 0.2
    with pytest.raises(TypeError, match="what was given follows a schedule"):
        optimizer.learning_rate = WarmupCosine(0.1, total_steps=3)


def frozen(names):
    model = net()
    for layer in model.layers:
        layer.trainable = layer.name not in names
    return model


def scaled():
    return keras.optimizers.LossScaleOptimizer(keras.optimizers.SGD())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda m: [Part("encodr", "sgd")], r"no trainable variable.*'encodr'.*encoder/kernel.*Frozen"),
        (lambda m: [Part("encode", "sgd")], "whole components"),
        (lambda m: [Part("kernel", "sgd"), Part("encoder", "sgd")], "two parts, 'kernel' and 'encoder'"),
        (lambda m: [Part("encoder", "sgd"), Part("encoder", "sgd")], "'encoder' twice"),
        (lambda m: [Part("encoder", "sgd", every=0)], "every must be an int of at least 1, got 0"),
        (lambda m: [Part("encoder", "sgd", every=1.5)], "got 1.5"),
        (lambda m: [Part("(", "sgd")], "no regular expression"),
        (lambda m: [Part([], "sgd")], "must select something"),
        (lambda m: [Part("encoder", scaled())], "wrap the PartitionedOptimizer"),
        (lambda m: [Part("encoder", keras.optimizers.SGD(use_ema=True))], "use_ema must be off"),
        (lambda m: [Part("encoder", adamw(), every=2)], "choose one"),
        (lambda m: [Part(keras.layers.Dense(2), "sgd")], "not built"),
        (lambda m: [Part(net().layers[0], "sgd")], "does not train"),
    ],
)
def test_errors(make, message):
    model = net()
    with pytest.raises(ValueError, match=message):
        build(PartitionedOptimizer(make(model), default="sgd"), model)


def test_more_errors():
    with pytest.raises(ValueError, match="no part selects .*head/kernel"):
        build(PartitionedOptimizer([Part("encoder", "sgd")]))
    model = frozen(["encoder"])
    with pytest.raises(ValueError, match="all 2 variables of part 'encoder' are frozen"):
        build(PartitionedOptimizer([Part(model.layers[0], "sgd")], "sgd"), model)
    with pytest.raises(ValueError, match="if all of the part are frozen"):
        build(PartitionedOptimizer([Part("encoder", "sgd")], "sgd"), model)
    shared = keras.optimizers.SGD()
    with pytest.raises(ValueError, match="share one optimizer"):
        PartitionedOptimizer([Part("encoder", shared), Part("head", shared)])
    used = build(keras.optimizers.SGD())
    with pytest.raises(ValueError, match="built for other variables"):
        PartitionedOptimizer([Part("encoder", used)])
    with pytest.raises(TypeError, match="list of Part, got tuple"):
        PartitionedOptimizer([("encoder", "sgd")])
    with pytest.raises(TypeError, match="got int"):
        Part(3, "sgd", name="three")
    with pytest.raises(ValueError, match="neither"):
        PartitionedOptimizer([])
    optimizer = PartitionedOptimizer([Part("encoder", "sgd")], "sgd")
    with pytest.raises(ValueError, match="one of 'encoder', 'default', got 'head'"):
        optimizer.optimizer_of("head")
    with pytest.raises(ValueError, match="built"):
        optimizer.paths_of("encoder")


@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="replicas are TensorFlow's")
def test_several_replicas_cannot_leave_steps_out(monkeypatch):
    monkeypatch.setattr(backend, "replica_count", lambda: 2)
    model = net()
    optimizer = build(PartitionedOptimizer([Part("encoder", "sgd", every=2)], "sgd"), model)
    with pytest.raises(NotImplementedError, match="every above 1"):
        optimizer.apply([ops.ones(v.shape) for v in model.trainable_variables])
