import logging

import keras
import numpy as np
import pytest
from keras import ops

from contrast.callbacks.collapse_monitor import CollapseMonitor, measure
from contrast.losses import NTXent
from contrast.metrics import alignment, effective_rank, uniformity
from tests.case import to_numpy

rng = np.random.default_rng(0)
SAMPLES = rng.normal(size=(64, 12)).astype("float32")
KEYS = ("uniformity", "effective_rank", "relative_rank", "std", "cosine")


def healthy(x):
    return x


def constant(x):
    return ops.ones_like(x) * 0.3


def rank_one(x):
    return x[:, :1] * ops.arange(1.0, 13.0)


def zero(x):
    return 0.0 * x


def not_finite(x):
    return x / ops.zeros_like(x)


def watched(encoder, caplog, epochs=1, start=0, **options):
    """A monitor after some epochs, what it logged, and its warnings."""
    monitor = CollapseMonitor(SAMPLES, encoder, **options)
    monitor.on_train_begin()
    logs = {}
    with caplog.at_level(logging.WARNING, logger="contrast"):
        for epoch in range(start, start + epochs):
            monitor.on_epoch_end(epoch, logs)
    return monitor, logs, [record.getMessage() for record in caplog.records]


def test_healthy(caplog):
    _, logs, warnings = watched(healthy, caplog)
    assert warnings == []
    assert list(logs) == [f"embedding_{key}" for key in KEYS]
    unit = SAMPLES / np.linalg.norm(SAMPLES, axis=1, keepdims=True)
    cosines = (unit @ unit.T)[~np.eye(64, dtype=bool)]
    rank = float(to_numpy(effective_rank(SAMPLES, center=True)))
    expected = {
        "uniformity": float(to_numpy(uniformity(SAMPLES))),
        "effective_rank": rank,
        "relative_rank": rank / 12,
        "std": np.sqrt(12) * unit.std(axis=0).mean(),
        "cosine": cosines.mean(),
    }
    for key, value in expected.items():
        assert logs[f"embedding_{key}"] == pytest.approx(value, abs=1e-5), key
    assert rank > 10
    assert logs["embedding_std"] > 0.9


@pytest.mark.parametrize(
    ("encoder", "messages"),
    [
        (constant, ["complete collapse", "mean cosine 1.0000", "stop-gradient", "momentum"]),
        (zero, ["complete collapse", "negatives"]),
        (rank_one, ["dimensional collapse", "about 1.0 directions of the 12", "larger batch"]),
        (not_finite, ["64 of 64 embeddings are not finite", "learning rate"]),
    ],
)
def test_each_collapse_is_named_once(encoder, messages, caplog):
    _, logs, warnings = watched(encoder, caplog, epochs=3)
    assert len(warnings) == 1
    assert warnings[0].startswith("epoch 1, embedding: ")
    for message in messages:
        assert message in warnings[0]
    assert all(np.isnan(value) for value in logs.values()) == (encoder is not_finite)


def test_a_warning_returns_after_it_cleared(caplog):
    monitor, _, _ = watched(constant, caplog)
    for epoch, encoder in enumerate((constant, healthy, constant, rank_one, rank_one)):
        monitor.encoder = encoder
        monitor.on_epoch_end(epoch + 1, {})
    found = [record.getMessage().split(":")[1].strip() for record in caplog.records]
    assert found == ["complete collapse", "complete collapse", "dimensional collapse"]


def test_thresholds(caplog):
    narrow = ops.convert_to_tensor(0.1 ** np.arange(12, dtype="float32"))
    _, logs, warnings = watched(lambda x: x * narrow, caplog)
    assert 1 < logs["embedding_effective_rank"] < 2
    assert len(warnings) == 1
    caplog.clear()
    assert watched(lambda x: x * narrow, caplog, rank_threshold=0.01)[2] == []
    shifted = watched(lambda x: x + 9.0, caplog)[1]
    assert 0.95 < shifted["embedding_cosine"] < 0.99
    assert watched(lambda x: x + 9.0, caplog, cosine_threshold=0.9)[2] != []


@keras.saving.register_keras_serializable(package="contrast_tests")
class Pulled(keras.Model):
    """Two noisy views of a sample are drawn together; nothing holds samples apart, unless `negatives`."""

    def __init__(self, negatives, **kwargs):
        super().__init__(**kwargs)
        self.negatives = negatives
        self.seed = keras.random.SeedGenerator(0)
        self.encoder = keras.Sequential([keras.layers.Dense(16, "tanh"), keras.layers.Dense(8)])

    def call(self, inputs):
        return self.encoder(inputs)

    def compute_loss(self, x, y, y_pred, sample_weight=None, training=True):
        views = [self.encoder(x + keras.random.normal(ops.shape(x), seed=self.seed)) for _ in range(2)]
        if self.negatives:
            return NTXent(0.2)(None, views)
        return alignment(*views)


@pytest.mark.parametrize("negatives", [False, True])
def test_training_without_negatives_collapses_and_is_reported(negatives, caplog):
    model = Pulled(negatives)
    model.compile(keras.optimizers.Adam(0.03))
    monitor = CollapseMonitor(SAMPLES, every=5, name="z")
    with caplog.at_level(logging.WARNING, logger="contrast"):
        history = model.fit(SAMPLES, batch_size=64, epochs=60, callbacks=[monitor], verbose=0).history
    warnings = [record.getMessage() for record in caplog.records]
    assert len(history["z_uniformity"]) == 12
    if negatives:
        assert warnings == []
        assert history["z_cosine"][-1] < 0.5
    else:
        assert any("complete collapse" in warning for warning in warnings)
        assert history["z_cosine"][-1] > 0.99


def test_what_encoders_return():
    tensors = {
        "tuple": (lambda x: (x, 0 * x), {}),
        "views": (lambda x: ops.stack([x, 0 * x], axis=1), {}),
        "selected": (lambda x: {"a": 0 * x, "b": x}, {"select": lambda outputs: outputs["b"]}),
    }
    for name, (encoder, options) in tensors.items():
        monitor = CollapseMonitor(SAMPLES, encoder, batch_size=24, **options)
        np.testing.assert_array_equal(monitor.embed(), SAMPLES, err_msg=name)
    pair = CollapseMonitor({"left": SAMPLES, "right": SAMPLES}, lambda x: x["left"] - x["right"])
    assert not pair.embed().any()
    noisy = CollapseMonitor(SAMPLES, keras.layers.Dropout(0.5, seed=0))
    np.testing.assert_array_equal(noisy.embed(), SAMPLES)


def test_errors():
    for arguments, message in [
        ({"samples": SAMPLES[:1]}, "at least 2 samples, got 1"),
        ({"samples": SAMPLES[:0]}, "got 0"),
        ({"samples": (SAMPLES, SAMPLES[:3])}, "one length.* got 3, 64"),
        ({"samples": ()}, "no array"),
        ({"every": 0}, "every must be a positive int, got 0"),
        ({"batch_size": 0.5}, "batch_size"),
        ({"cosine_threshold": 1.0}, r"cosine_threshold must lie in \(0, 1\), got 1.0"),
        ({"rank_threshold": 0.0}, "rank_threshold"),
    ]:
        with pytest.raises(ValueError, match=message):
            CollapseMonitor(**{"samples": SAMPLES, **arguments})
    with pytest.raises(TypeError, match="encoder"):
        CollapseMonitor(SAMPLES, "encoder")
    with pytest.raises(ValueError, match="'a'.*select"):
        CollapseMonitor(SAMPLES, lambda x: {"a": x}).embed()
    with pytest.raises(ValueError, match=r"got shape \(64, 3, 2, 2\)"):
        CollapseMonitor(SAMPLES, lambda x: ops.reshape(x, (-1, 3, 2, 2))).embed()


def test_two_samples_and_one_dimension():
    assert measure(np.array([[1.0, 0.0], [0.0, 1.0]], "float32"))["effective_rank"] == pytest.approx(1)
    assert measure(np.ones((3, 1), "float32"))["cosine"] == pytest.approx(1)
