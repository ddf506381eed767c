"""Losses that own parameters: training, saving, sampled classes, bad input."""

import keras
import numpy as np
import pytest

from contrast import losses
from contrast.losses import total_loss
from tests.case import assert_close, check_saved, to_numpy

rng = np.random.default_rng(6)
VIEWS = rng.normal(size=(8, 2, 5)).astype("float32")
IDS = np.array([0, 0, 1, 2, 2, 2, 3, 1])
HEADS = {
    "arcface": lambda: losses.ArcFace(4, 5, margin=0.3, scale=8.0),
    "cosface": lambda: losses.CosFace(4, 5, scale=8.0),
    "proxy anchor": lambda: losses.ProxyAnchor(4, 5),
    "proxy nca": lambda: losses.ProxyNCA(4, 5),
    "proxy nca, first form": lambda: losses.ProxyNCA(4, 5, form="negatives"),
    "soft triple": lambda: losses.SoftTriple(4, 5, centers=3),
}
MEMORY = {"memory": lambda: losses.CrossBatchMemory(losses.TripletMargin(0.5), size=16, dim=5)}
every_head = pytest.mark.parametrize("make", HEADS.values(), ids=HEADS)


@keras.saving.register_keras_serializable(package="test")
class Classifier(keras.Model):
    """An embedding and the loss that it owns."""

    def __init__(self, head, **kwargs):
        super().__init__(**kwargs)
        self.head = head
        self.dense = keras.layers.Dense(5)

    def call(self, inputs):
        return self.dense(inputs)

    def compute_loss(self, x, y=None, y_pred=None, sample_weight=None, training=True):
        return total_loss(self, loss=self.head(y, y_pred, sample_weight, training=training))

    def get_config(self):
        return {**super().get_config(), "head": keras.saving.serialize_keras_object(self.head)}

    @classmethod
    def from_config(cls, config):
        return cls(**{**config, "head": keras.saving.deserialize_keras_object(config["head"])})


@pytest.mark.parametrize("make", [*HEADS.values(), *MEMORY.values()], ids=[*HEADS, *MEMORY])
def test_a_model_trains_and_saves_the_head_that_it_owns(make, tmp_path):
    model = Classifier(make())
    model(VIEWS)
    model.compile(keras.optimizers.SGD(0.05))
    before = [to_numpy(weight) for weight in model.trainable_variables]
    history = model.fit(VIEWS, IDS, batch_size=8, epochs=6, shuffle=False, verbose=0).history["loss"]
    assert history[-1] < history[0]
    for weight, old in zip(model.trainable_variables, before, strict=True):
        if "bias" not in weight.path:
            assert not np.array_equal(to_numpy(weight), old), weight.path
    check_saved(model, VIEWS, tmp_path)
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert loaded.head.get_config() == model.head.get_config()
    assert_close(loaded.evaluate(VIEWS, IDS, verbose=0), model.evaluate(VIEWS, IDS, verbose=0))


@every_head
def test_weights_and_reduction(make):
    head = make()
    assert_close(head(IDS, VIEWS, 2 * np.ones(8)), to_numpy(head(IDS, VIEWS)), 0.3)
    if isinstance(head, losses.ProxyAnchor):
        half = head(IDS[:4], VIEWS[:4])
        assert_close(head(IDS, VIEWS, np.repeat([1, 0], 4)), to_numpy(half))
        assert_close(
            head(np.repeat(IDS, 2), np.repeat(VIEWS, 2, axis=0)), to_numpy(head(IDS, VIEWS, 2 * np.ones(8)))
        )
        return
    config = {**head.get_config(), "reduction": "none"}
    each = type(head).from_config(config)
    each.set_weights(head.get_weights())
    values = to_numpy(each(IDS, VIEWS))
    assert values.shape == (8, 2)
    weight = np.array([0, 1, 2, 1, 1, 3, 0.5, 1], "float32")
    assert_close(head(IDS, VIEWS, weight), (values.mean(1) * weight).sum() / weight.sum())


@every_head
def test_half_precision_is_not_used_inside(make):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        head = make()
    finally:
        keras.config.set_dtype_policy("float32")
    assert keras.backend.standardize_dtype(head(IDS, VIEWS).dtype) == "float32"
    assert keras.backend.standardize_dtype(head.trainable_variables[0].dtype) == "float32"


@every_head
def test_a_class_that_does_not_exist(make):
    head = make()
    with pytest.raises(ValueError, match="from 0 to 3, got 0 to 4"):
        head(np.array([0, 4]), VIEWS[:2])
    assert np.isnan(to_numpy(head(keras.ops.convert_to_tensor([0, 4]), VIEWS[:2])))


def test_first_form_of_proxy_nca():
    """The right proxy is not in the denominator; float64, from the paper's equation 4."""
    head = losses.ProxyNCA(4, 5, temperature=0.5, form="negatives")
    z, p = (x / np.linalg.norm(x, axis=-1, keepdims=True) for x in (VIEWS[:, 0], to_numpy(head.proxies)))
    e = np.exp(-((z[:, None] - p[None]) ** 2).sum(-1) / 0.5)
    own = e[np.arange(8), IDS]
    assert_close(head(IDS, VIEWS[:, :1]), -np.log(own / (e.sum(1) - own)).mean())


def test_distance_between_the_centers_of_soft_triple():
    head, without = (losses.SoftTriple(4, 5, centers=3, center_weight=w) for w in (0.5, 0.0))
    without.set_weights(head.get_weights())
    c = to_numpy(head.centers).reshape(4, 3, 5)
    c = c / np.linalg.norm(c, axis=-1, keepdims=True)
    apart = [np.linalg.norm(c[:, s] - c[:, t], axis=1).sum() for t in range(3) for s in range(t)]
    expected = to_numpy(without(IDS, VIEWS)) + 0.5 * np.sum(apart) / (4 * 3 * 2)
    assert_close(head(IDS, VIEWS), expected)


def test_sampled_classes_hold_those_of_the_batch_and_change():
    head = losses.CosFace(50, 5, scale=8.0, sampled_classes=10)
    all_classes = losses.CosFace(50, 5, scale=8.0)
    all_classes.set_weights(head.get_weights()[:1])
    ids = np.array([3, 3, 17, 49, 20, 21, 0, 3])
    whole = float(to_numpy(all_classes(ids, VIEWS)))
    drawn = [float(to_numpy(head(ids, VIEWS, training=True))) for _ in range(4)]
    assert len(set(drawn)) == 4
    assert max(drawn) < whole, "a sum over fewer classes"
    assert_close(head(ids, VIEWS, training=False), whole)
    everything = losses.CosFace(50, 5, scale=8.0, sampled_classes=50)
    everything.set_weights(head.get_weights()[:1] + everything.get_weights()[1:])
    assert_close(everything(ids, VIEWS, training=True), whole)


def test_memory_of_another_loss_is_refused():
    with pytest.raises(TypeError, match="ContrastiveLoss, got ArcFace"):
        losses.CrossBatchMemory(HEADS["arcface"](), 8, 5)
    memory = losses.CrossBatchMemory(losses.NPairs(), 16, 5)
    with pytest.raises(ValueError, match="takes no negatives, references"):
        memory(IDS, VIEWS)
    memory = losses.CrossBatchMemory(losses.SigmoidContrastive(), 16, 5)
    with pytest.raises(ValueError, match="takes no references"):
        memory(IDS, VIEWS)
    with pytest.raises(ValueError, match="does not fit into a queue"):
        losses.CrossBatchMemory(losses.Circle(), 8, 5)(IDS, VIEWS)


def test_a_layer_inside_compile_is_refused():
    model = keras.Sequential([keras.layers.Dense(5)])
    model.compile("sgd", loss=HEADS["arcface"]())
    with pytest.raises(TypeError, match="attribute of the model"):
        model.fit(VIEWS, IDS, verbose=0)


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: losses.ArcFace(1, 5), ValueError, "classes must be at least 2"),
        (lambda: losses.ArcFace(4, 5, margin=4), ValueError, "radians"),
        (lambda: losses.CosFace(4, 5, scale=0), ValueError, "scale positive"),
        (lambda: losses.CosFace(4, 5, sampled_classes=5), ValueError, "from 1 to 4"),
        (
            lambda: losses.CosFace(4, 5, sampled_classes=2)(IDS, VIEWS, training=True),
            ValueError,
            "batch of 8",
        ),
        (lambda: losses.ProxyAnchor(4, 5, alpha=0), ValueError, "alpha"),
        (lambda: losses.ProxyNCA(4, 5, temperature=0), ValueError, "temperature"),
        (lambda: losses.ProxyNCA(4, 5, form="all"), ValueError, "form"),
        (lambda: losses.SoftTriple(4, 5, centers=0), ValueError, "centers"),
        (lambda: losses.ArcFace(4, 5)(None, VIEWS), ValueError, "class of each sample"),
        (lambda: losses.ArcFace(4, 6)(IDS, VIEWS), ValueError, r"\(batch, views, 6\)"),
        (lambda: losses.ArcFace(4, 5)(IDS, VIEWS[:, 0]), ValueError, "a single view"),
        (lambda: losses.ArcFace(4, 5)(np.array(list("aabbccdd")), VIEWS), TypeError, "np.unique"),
        (lambda: losses.ArcFace(4, 5)(IDS[:3], VIEWS), ValueError, "one id a sample"),
    ],
)
def test_bad_input(call, error, says):
    with pytest.raises(error, match=says):
        call()
