"""The contract that all losses over ids share, against the plain formulas in NumPy."""

import keras
import numpy as np
import pytest
from keras import ops

from contrast import backend
from contrast.layers import Temperature
from contrast.losses import (
    InfoNCE,
    NTXent,
    SoftTargetContrastive,
    SupervisedContrastive,
    total_loss,
)
from tests.case import assert_close, to_numpy

ALL = [InfoNCE, NTXent, SupervisedContrastive, SoftTargetContrastive]
OVER_IDS = ALL[:3]
rng = np.random.default_rng(5)
VIEWS = rng.normal(size=(7, 2, 5)).astype("float32")
IDS = np.array([0, 0, 1, 2, 2, 2, 3])


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def masked_mean_cross_entropy(logits, candidates, targets):
    """Float64 oracle: mean over rows with a target of the cross-entropy against the row's scaled targets."""
    logits = np.where(candidates, logits.astype("float64"), -np.inf)
    log_p = logits - np.log(np.exp(logits - logits.max(1, keepdims=True)).sum(1, keepdims=True))
    log_p = log_p - logits.max(1, keepdims=True)
    targets = targets * candidates
    rows = targets.sum(1) > 0
    share = targets[rows] / targets[rows].sum(1, keepdims=True)
    return -(share * np.where(candidates, log_p, 0)[rows]).sum(1).mean()


def two_sided(temperature=0.1):
    return unit(VIEWS[:, 0]) @ unit(VIEWS[:, 1]).T / temperature


def one_sided(temperature=0.1):
    z = unit(VIEWS.reshape(-1, 5))
    return z @ z.T / temperature, ~np.eye(len(z), dtype=bool), np.arange(14) // 2


def test_same_id_ignore():
    candidates = (IDS[:, None] != IDS) | np.eye(7, dtype=bool)
    expected = masked_mean_cross_entropy(two_sided(), candidates, np.eye(7))
    assert_close(InfoNCE(0.1, same_id="ignore")(IDS, VIEWS), expected)
    logits, others, sample = one_sided()
    same_sample, same_id = sample[:, None] == sample, IDS[sample][:, None] == IDS[sample]
    expected = masked_mean_cross_entropy(logits, others & (same_sample | ~same_id), same_sample)
    assert_close(NTXent(0.1, same_id="ignore")(IDS, VIEWS), expected)


def test_same_id_shared_equals_given_targets():
    shared = InfoNCE(0.1, same_id="shared", symmetric=True)(IDS, VIEWS)
    targets = (IDS[:, None] == IDS).astype("float32")
    assert_close(SoftTargetContrastive(0.1, symmetric=True)(targets, VIEWS), to_numpy(shared))
    logits, others, sample = one_sided()
    same_id = IDS[sample][:, None] == IDS[sample]
    expected = masked_mean_cross_entropy(logits, others, same_id)
    assert_close(NTXent(0.1, same_id="shared")(IDS, VIEWS), expected)
    assert_close(SupervisedContrastive(0.1)(IDS, VIEWS), expected)


def test_inner_form_is_below_the_outer_one():
    """Jensen's inequality; equal where every anchor has one positive."""
    inner, outer = (SupervisedContrastive(form=form) for form in ("in", "out"))
    assert float(to_numpy(inner(IDS, VIEWS))) < float(to_numpy(outer(IDS, VIEWS)))
    assert_close(inner(None, VIEWS), to_numpy(outer(None, VIEWS)))


@pytest.mark.parametrize("tile_size", [3, 1024])
@pytest.mark.parametrize("form", ["in", "out"])
def test_supervised_forms_with_mask_and_weights(form, tile_size):
    mask = rng.random((7, 7)) < 0.4
    weights = rng.random((7, 7)).astype("float32")
    z = unit(VIEWS[:, 0])
    logits, others = z @ z.T / 0.3, ~np.eye(7, dtype=bool)
    log_p = logits - np.log((np.exp(logits) * others).sum(1, keepdims=True))
    share = weights * mask * others
    rows = share.sum(1) > 0
    share = (share / np.maximum(share.sum(1, keepdims=True), 1e-9))[rows]
    expected = (
        -(share * log_p[rows]).sum(1) if form == "out" else -np.log((share * np.exp(log_p[rows])).sum(1))
    )
    loss = SupervisedContrastive(0.3, form=form, tile_size=tile_size)
    actual = loss(None, VIEWS[:, :1], positive_mask=mask, pair_weights=weights)
    assert_close(actual, expected.mean())


@pytest.mark.parametrize("tile_size", [4, 1024])
def test_shared_negatives_and_own_negatives(tile_size):
    negatives = rng.normal(size=(3, 5)).astype("float32")
    logits = np.concatenate([two_sided(), unit(VIEWS[:, 0]) @ unit(negatives).T / 0.1], axis=1)
    expected = masked_mean_cross_entropy(logits, np.ones((7, 10), bool), np.eye(7, 10))
    loss = InfoNCE(0.1, tile_size=tile_size)
    assert_close(loss(None, VIEWS, negatives=negatives), expected)
    own = np.repeat(negatives[None], 7, axis=0)
    assert_close(loss(None, VIEWS, negatives=own), expected)
    assert_close(SoftTargetContrastive(0.1, tile_size=tile_size)(None, VIEWS, negatives=negatives), expected)

    logits, others, sample = one_sided()
    z = unit(VIEWS.reshape(-1, 5))
    logits = np.concatenate([logits, z @ unit(negatives).T / 0.1], axis=1)
    others = np.concatenate([others, np.ones((14, 3), bool)], axis=1)
    targets = np.pad(sample[:, None] == sample, [[0, 0], [0, 3]])
    expected = masked_mean_cross_entropy(logits, others, targets)
    loss = NTXent(0.1, tile_size=tile_size)
    assert_close(loss(None, VIEWS, negatives=negatives), expected)
    assert_close(loss(None, VIEWS, negatives=own), expected)


def test_ids_equal_to_nothing_among_negatives():
    """An id of -1 is an id like any other, not that of the negatives."""
    negatives = rng.normal(size=(3, 5)).astype("float32")
    shifted = InfoNCE(same_id="shared")(IDS - 1, VIEWS, negatives=negatives)
    assert_close(InfoNCE(same_id="shared")(IDS, VIEWS, negatives=negatives), to_numpy(shifted))


def test_candidate_mask():
    mask = rng.random((7, 7)) < 0.6
    np.fill_diagonal(mask, True)
    expected = masked_mean_cross_entropy(two_sided(), mask, np.eye(7))
    assert_close(InfoNCE(0.1)(None, VIEWS, candidate_mask=mask), expected)
    mirrored = masked_mean_cross_entropy(two_sided().T, mask.T, np.eye(7))
    symmetric = InfoNCE(0.1, symmetric=True)(None, VIEWS, candidate_mask=mask)
    assert_close(symmetric, (expected + mirrored) / 2)
    logits, others, sample = one_sided()
    seen = np.repeat(np.repeat(mask, 2, axis=0), 2, axis=1)
    expected = masked_mean_cross_entropy(logits, others & seen, sample[:, None] == sample)
    assert_close(NTXent(0.1)(None, VIEWS, candidate_mask=mask), expected)


@pytest.mark.parametrize(
    "loss", [InfoNCE(0.1), InfoNCE(0.1, symmetric=True), NTXent(0.1), InfoNCE(tile_size=3)]
)
def test_a_mask_of_samples_lets_all_shared_negatives_be_seen(loss):
    mask = rng.random((7, 7)) < 0.6
    np.fill_diagonal(mask, True)
    negatives = rng.normal(size=(4, 5)).astype("float32")
    wide = np.concatenate([mask, np.ones((7, 4), bool)], axis=1)
    expected = to_numpy(loss(None, VIEWS, negatives=negatives, candidate_mask=wide))
    assert_close(loss(None, VIEWS, negatives=negatives, candidate_mask=mask), expected)


@pytest.mark.parametrize("shape", [(7,), (7, 8), (6, 7), (7, 11)])
def test_a_mask_of_another_shape_is_refused(shape):
    with pytest.raises(ValueError, match="candidate_mask must be .* for a batch of 7"):
        InfoNCE()(None, VIEWS, candidate_mask=np.ones(shape, bool))


@pytest.mark.parametrize("shape", [(7, 8), (6, 7), (7, 1), (1,), (14,), (7, 7, 1), ()])
@pytest.mark.parametrize("name", ["positive_mask", "pair_weights"])
def test_pairs_of_another_shape_are_refused(name, shape):
    with pytest.raises(ValueError, match=f"{name} must be .* for a batch of 7"):
        SupervisedContrastive()(None, VIEWS, **{name: np.ones(shape)})


def test_no_positive():
    alone = np.array([0, 0, 1, 2, 3, 4, 5])
    single = VIEWS[:, :1]
    skip, zero, drop = (
        float(to_numpy(SupervisedContrastive(no_positive=policy)(alone, single)))
        for policy in ("skip", "zero", "drop")
    )
    assert zero == pytest.approx(skip * 2 / 7, rel=1e-5)
    assert drop == pytest.approx(0, abs=1e-6), "two samples are left, each the other's only candidate"
    assert skip > 0.01
    for policy in ("skip", "zero", "drop"):
        nothing = SupervisedContrastive(no_positive=policy)(np.arange(7), single)
        assert float(to_numpy(nothing)) == 0


@pytest.mark.parametrize("loss_class", ALL)
def test_reductions_and_sample_weight(loss_class):
    each = to_numpy(loss_class(reduction="none")(None, VIEWS)).reshape(7, -1)
    weight = np.array([0, 1, 2, 1, 1, 3, 0.5], "float32")
    mean = loss_class()(None, VIEWS, weight)
    assert_close(mean, (each.mean(1) * weight).sum() / weight.sum())
    assert_close(loss_class(reduction="sum")(None, VIEWS, weight), (each.sum(1) * weight).sum())
    over_size = loss_class(reduction="sum_over_batch_size")(None, VIEWS, weight)
    assert_close(over_size, (each.mean(1) * weight).sum() / 7)
    assert float(to_numpy(loss_class()(None, VIEWS, np.zeros(7)))) == 0


@pytest.mark.parametrize("loss_class", ALL)
def test_a_pair_is_two_views(loss_class):
    pair = loss_class()(None, (VIEWS[:, 0], VIEWS[:, 1]))
    assert_close(pair, to_numpy(loss_class()(None, VIEWS)))


@pytest.mark.parametrize("loss_class", ALL)
def test_batch_of_one(loss_class):
    value, (gradient,) = backend.value_and_grad(lambda z: loss_class()(None, z), VIEWS[:1])
    assert float(to_numpy(value)) == pytest.approx(0, abs=1e-6)
    assert_close(gradient, np.zeros((1, 2, 5)))


@pytest.mark.parametrize("loss_class", ALL)
def test_config(loss_class):
    loss = loss_class(temperature=0.3, normalize=False, no_positive="zero", tile_size=3, reduction="sum")
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert copy.get_config() == loss.get_config()
    assert_close(copy(None, VIEWS), to_numpy(loss(None, VIEWS)))


@pytest.mark.parametrize("loss_class", ALL)
def test_nan_and_infinity_are_not_hidden(loss_class):
    for bad in (np.nan, np.inf):
        views = VIEWS.copy()
        views[2, 0, 1] = bad
        assert not np.isfinite(to_numpy(loss_class()(None, views)))


def test_small_integers_have_no_id_for_what_a_queue_has_none_for():
    """-1 as uint8 would be 255."""
    last = np.array([255, 255, 1, 2, 3, 4, 5])
    references = (rng.normal(size=(3, 5)).astype("float32"), np.array([-1, 1, -1]), None)
    expected = to_numpy(SupervisedContrastive()(last, VIEWS, references=references))
    assert_close(SupervisedContrastive()(last.astype("uint8"), VIEWS, references=references), expected)


def test_large_ids_are_told_apart():
    """Ids beyond float32's integers."""
    near = np.array([2**24, 2**24 + 1, 2**24, 2**24 + 1, 5, 6, 7])
    small = np.array([0, 1, 0, 1, 5, 6, 7])
    loss = SupervisedContrastive()
    assert_close(loss(near, VIEWS), to_numpy(loss(small, VIEWS)))


class Owner(keras.Model):
    """A model that owns its temperature and builds its loss from it."""

    def __init__(self, loss_class):
        super().__init__()
        self.loss_class = loss_class
        self.temperature = Temperature(0.2)
        self.dense = keras.layers.Dense(3)

    def call(self, inputs):
        return self.dense(inputs)

    def compute_loss(self, x, y=None, y_pred=None, sample_weight=None, training=True):
        return total_loss(self, loss=self.loss_class(self.temperature)(y, y_pred, sample_weight))


@pytest.mark.parametrize("loss_class", OVER_IDS)
def test_a_learned_temperature_moves(loss_class):
    model = Owner(loss_class)
    model.compile(keras.optimizers.SGD(0.5))
    model.fit(VIEWS, IDS, batch_size=4, verbose=0)
    assert abs(float(to_numpy(model.temperature.value)) - 0.2) > 1e-3
    assert len(model.trainable_variables) == 3


def test_a_layer_inside_compile_is_refused():
    model = keras.Sequential([keras.layers.Dense(3)])
    model.compile("sgd", loss=InfoNCE(Temperature()))
    with pytest.raises(TypeError, match="attribute of the model"):
        model.fit(VIEWS, IDS, verbose=0)
    with pytest.raises(TypeError, match="the model owns"):
        InfoNCE(Temperature()).get_config()


@pytest.mark.parametrize("with_ids", [True, False])
def test_fit_with_and_without_ids(with_ids):
    """The last batch is smaller, so that TensorFlow traces an unknown batch; tiles are smaller still."""
    model = keras.Sequential([keras.layers.Dense(3)])
    model.compile(keras.optimizers.SGD(0.1), loss=NTXent(tile_size=3))
    history = model.fit(VIEWS, IDS if with_ids else None, batch_size=4, epochs=15, shuffle=False, verbose=0)
    assert history.history["loss"][-1] < history.history["loss"][0] - 0.1


def test_total_loss_adds_the_models_own_losses():
    model = keras.Sequential([keras.layers.Dense(3, kernel_regularizer=keras.regularizers.L2(1.0))])
    model(VIEWS)
    penalty = float(to_numpy(sum(model.losses)))
    assert_close(total_loss(model, mean=ops.ones(()), loss=2 * ops.ones(())), 3 + penalty)
    assert_close(total_loss(model, mean=ops.ones((), "bfloat16")), 1 + penalty)
    with pytest.raises(ValueError, match="mean or loss"):
        total_loss(model)


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: InfoNCE(temperature=-0.1), ValueError, "temperature must be positive, got -0.1"),
        (lambda: InfoNCE(temperature=0), ValueError, "temperature"),
        (lambda: InfoNCE(same_id="equal"), ValueError, "'ignore'"),
        (lambda: NTXent(no_positive="keep"), ValueError, "'skip'"),
        (lambda: NTXent(tile_size=0), ValueError, "tile_size"),
        (lambda: NTXent(reduction="median"), ValueError, "reduction"),
        (lambda: SupervisedContrastive(form="mid"), ValueError, "form"),
        (lambda: InfoNCE()(None, VIEWS[:, :1]), ValueError, "two views"),
        (lambda: NTXent()(None, VIEWS[:, :1]), ValueError, "at least two views"),
        (lambda: SupervisedContrastive()(None, VIEWS[:, :1]), ValueError, "at least two views"),
        (lambda: NTXent()(None, VIEWS[:, 0]), ValueError, r"\(batch, views, dim\)"),
        (lambda: NTXent()(None, VIEWS[:0]), ValueError, "empty batch"),
        (lambda: InfoNCE()(None, (VIEWS[:, 0], VIEWS[:3, 1])), ValueError, "same batch"),
        (lambda: InfoNCE()(None, (VIEWS[:, 0], VIEWS[:, 1, :3])), ValueError, "pair"),
        (lambda: InfoNCE()(IDS[:3], VIEWS), ValueError, "one id a sample"),
        (lambda: InfoNCE()(np.array(list("abcdefg")), VIEWS), TypeError, "np.unique"),
        (lambda: InfoNCE()(list("abcdefg"), VIEWS), TypeError, "np.unique"),
        (lambda: InfoNCE()(IDS.astype("float32"), VIEWS), TypeError, "integer ids"),
        (lambda: InfoNCE()(None, VIEWS, negatives=np.zeros((4, 3))), ValueError, "negatives"),
        (lambda: SoftTargetContrastive()(np.ones((7, 3)), VIEWS), ValueError, r"\(7, 7\)"),
    ],
)
def test_bad_input(call, error, says):
    with pytest.raises(error, match=says):
        call()
