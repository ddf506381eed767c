"""What all losses over distances share: tiles, order, extremes, reductions, configuration, bad input."""

import keras
import numpy as np
import pytest

from contrast import backend, losses
from contrast.losses import HardestPairs, MultiSimilarityMiner
from tests.case import assert_close, to_numpy

LOSSES = [
    losses.PairContrastive(1.2, 0.3),
    losses.TripletMargin(0.3),
    losses.TripletMargin(0.3, mining="semi_hard", average="all"),
    losses.TripletMargin("soft", mining=HardestPairs("easy", "semi_hard")),
    losses.PN(0.5),
    losses.MultiSimilarity(beta=10.0),
    losses.Circle(gamma=10.0),
    losses.LiftedStructure(miner=HardestPairs()),
    losses.SoftNearestNeighbor(0.5),
    losses.NPairs(),
]
every_loss = pytest.mark.parametrize("loss", LOSSES, ids=lambda loss: f"{loss.name}-{LOSSES.index(loss)}")
rng = np.random.default_rng(4)
VIEWS = rng.normal(size=(8, 2, 5)).astype("float32")
IDS = np.array([0, 0, 1, 2, 2, 2, 3, 4])
NEGATIVES, REFERENCES = rng.normal(size=(3, 5)).astype("float32"), rng.normal(size=(4, 5)).astype("float32")


def changed(loss, **config):
    return type(loss).from_config({**loss.get_config(), **config})


def distances_of(z):
    return np.linalg.norm(z[:, None] - z[None], axis=-1)


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


@every_loss
def test_tiled_equals_whole(loss):
    """Tiles of 5 out of 16 anchors, with further candidates where the loss takes them."""
    extra = {}
    if not isinstance(loss, losses.NPairs):
        extra = {"negatives": NEGATIVES, "references": (REFERENCES, np.array([0, 2, 2, 7]), [1, 1, 0, 1])}
    values, gradients = [], []
    for size in (None, 5):
        tiled = changed(loss, tile_size=size)
        value, (gradient,) = backend.value_and_grad(lambda z, tiled=tiled: tiled(IDS, z, **extra), VIEWS)
        values.append(to_numpy(value))
        gradients.append(to_numpy(gradient))
    assert values[0] > 0
    assert_close(values[1], values[0])
    assert_close(gradients[1], gradients[0], 1e-4)


@every_loss
def test_order_of_the_batch_does_not_matter(loss):
    if isinstance(loss, losses.NPairs):
        pytest.skip("its pairs are the first two of each class")
    order = np.random.default_rng(0).permutation(8)
    assert_close(loss(IDS[order], VIEWS[order]), to_numpy(loss(IDS, VIEWS)))


@every_loss
def test_gradients_are_finite_at_extremes(loss):
    z = VIEWS.copy()
    z[0], z[1, 0] = 0.0, z[2, 1]
    z[3] = 1e-30 if isinstance(loss, losses.NPairs) else 1e30
    value, (gradient,) = backend.value_and_grad(lambda x: loss(IDS, x), z)
    assert np.isfinite(to_numpy(value))
    assert np.isfinite(to_numpy(gradient)).all()


@every_loss
@pytest.mark.parametrize("constant", [0.0, 1.0])
def test_equal_embeddings(loss, constant):
    value, (gradient,) = backend.value_and_grad(lambda x: loss(IDS, x), np.full((8, 2, 5), constant, "f4"))
    assert np.isfinite(to_numpy(value))
    assert np.abs(to_numpy(gradient)).max() < 1e-3


@every_loss
def test_reductions_and_sample_weight(loss):
    weight = np.array([0, 1, 2, 1, 1, 3, 0.5, 1], "float32")
    each = to_numpy(changed(loss, reduction="none")(IDS, VIEWS))
    assert each.shape == (8, 2)
    total = changed(loss, reduction="sum")(IDS, VIEWS, weight)
    assert_close(total, (each * weight[:, None]).sum())
    assert_close(loss(IDS, VIEWS, 3 * np.ones(8)), to_numpy(loss(IDS, VIEWS)))
    without_first = loss(IDS, VIEWS, np.array([0, 1, 1, 1, 1, 1, 1, 1]))
    assert not np.isclose(to_numpy(without_first), to_numpy(loss(IDS, VIEWS)))
    assert float(to_numpy(loss(IDS, VIEWS, np.zeros(8)))) == 0


@every_loss
def test_config(loss):
    copy = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(loss))
    assert copy.get_config() == loss.get_config()
    assert_close(copy(IDS, VIEWS), to_numpy(loss(IDS, VIEWS)))


@every_loss
def test_batch_of_one_is_nothing(loss):
    if isinstance(loss, losses.PairContrastive | losses.MultiSimilarity):
        assert float(to_numpy(loss(IDS[:1], VIEWS[:1, :1]))) == 0
        return
    value, (gradient,) = backend.value_and_grad(lambda z: loss(IDS[:1], z), VIEWS[:1])
    assert float(to_numpy(value)) == 0
    assert_close(gradient, np.zeros((1, 2, 5)))


@every_loss
def test_ids_are_compared_as_integers(loss):
    near = np.array([2**24, 2**24, 2**24 + 1, 2, 2, 2, 3, 4])
    assert_close(loss(near, VIEWS), to_numpy(loss(IDS, VIEWS)))


def test_the_papers_contrastive_loss():
    """Squared, as the paper has it but for its factor of one half, in float64."""
    z = unit(VIEWS[:, 0].astype("float64"))
    d, same, itself = distances_of(z), IDS[:, None] == IDS, np.eye(8, dtype=bool)
    expected = (d[same & ~itself] ** 2).mean() + (np.maximum(0, 1.3 - d[~same]) ** 2).mean()
    assert_close(losses.PairContrastive(1.3, average="all")(IDS, VIEWS[:, :1]), expected)
    each = losses.PairContrastive(1.3, average="all", reduction="none")(IDS, VIEWS[:, :1])
    assert_close(to_numpy(each).mean(), expected)


@pytest.mark.parametrize("positive", ["hard", "easy"])
@pytest.mark.parametrize("negative", ["hard", "semi_hard", "easy"])
def test_hardest_pairs_of_each_anchor(positive, negative):
    z = unit(VIEWS.reshape(-1, 5).astype("float64"))
    ids = np.repeat(IDS, 2)
    d = distances_of(z)
    terms, swapped = [], []
    for i in range(16):
        p = np.flatnonzero((ids == ids[i]) & (np.arange(16) != i))
        n = np.flatnonzero(ids != ids[i])
        p = p[np.argmax(d[i, p]) if positive == "hard" else np.argmin(d[i, p])]
        beyond = n[d[i, n] > d[i, p]]
        if negative == "semi_hard" and len(beyond):
            n = beyond[np.argmin(d[i, beyond])]
        else:
            n = n[np.argmin(d[i, n]) if negative == "hard" else np.argmax(d[i, n])]
        terms.append(max(0, d[i, p] - d[i, n] + 0.5))
        swapped.append(max(0, d[i, p] - min(d[i, n], d[p, n]) + 0.5))
    loss = losses.TripletMargin(0.5, mining=HardestPairs(positive, negative), average="all")
    assert_close(loss(IDS, VIEWS), np.mean(terms))
    assert_close(losses.PN(0.5, positive, negative, distance="euclidean")(IDS, VIEWS), np.mean(swapped))


def test_soft_nearest_neighbour_is_the_inner_form_of_supervised_contrastive():
    """Up to the logarithm of the number of positives; cosine distance over a temperature."""
    positives = 2 * np.bincount(IDS)[IDS] - 1
    inner = losses.SupervisedContrastive(0.3, form="in", reduction="none")(IDS, VIEWS)
    expected = to_numpy(inner) - np.log(positives)[:, None]
    ours = losses.SoftNearestNeighbor(0.3, distance="cosine", reduction="none")(IDS, VIEWS)
    assert_close(ours, expected)


def test_n_pairs_of_views_are_info_nce():
    """Two views of samples that are their own classes: each first view finds its second one."""
    expected = losses.InfoNCE(1.0, normalize=False)(None, VIEWS)
    assert_close(losses.NPairs()(None, VIEWS), to_numpy(expected))


def test_fit_with_an_unknown_batch_and_tiles():
    """The last batch is smaller, so that TensorFlow traces an unknown batch; tiles are smaller still."""
    model = keras.Sequential([keras.layers.Dense(3)])
    model.compile(keras.optimizers.SGD(0.3), loss=losses.TripletMargin(0.5, average="all", tile_size=3))
    ids = np.arange(8) // 2
    history = model.fit(VIEWS, ids, batch_size=6, epochs=15, shuffle=False, verbose=0)
    assert history.history["loss"][-1] < history.history["loss"][0] - 0.1


@pytest.mark.parametrize(
    "call",
    [
        lambda **r: losses.InfoNCE(0.2, same_id="shared")(IDS, VIEWS, **r),
        lambda **r: losses.NTXent(0.2)(IDS, VIEWS, **r),
        lambda **r: losses.SupervisedContrastive(0.2)(IDS, VIEWS, **r),
    ],
)
def test_references_that_are_not_valid_change_nothing(call):
    without = to_numpy(call())
    invalid = call(references=(REFERENCES, [0, 1, 2, 3], np.zeros(4, bool)))
    assert_close(invalid, without)
    mask = np.ones((8, 8), bool)
    assert_close(call(references=(REFERENCES, [0, 1, 2, 3], np.zeros(4, bool)), candidate_mask=mask), without)
    valid = to_numpy(call(references=(REFERENCES, [0, 1, 2, 3], None)))
    assert abs(valid - without) > 1e-3


def test_a_reference_of_an_unknown_id_is_a_negative():
    nobody = (REFERENCES, np.full(4, -1), None)
    assert_close(
        losses.InfoNCE(0.2, same_id="shared")(IDS, VIEWS, references=nobody),
        to_numpy(losses.InfoNCE(0.2, same_id="shared")(IDS, VIEWS, negatives=REFERENCES)),
    )


def test_given_positives_are_not_among_the_negatives():
    """A positive mask over the samples leaves negatives negatives."""
    mask = IDS[:, None] == IDS
    given = losses.SupervisedContrastive()(None, VIEWS, negatives=NEGATIVES, positive_mask=mask)
    assert_close(given, to_numpy(losses.SupervisedContrastive()(IDS, VIEWS, negatives=NEGATIVES)))


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: losses.TripletMargin(-1), ValueError, "margin must be at least 0"),
        (lambda: losses.TripletMargin("soft"), ValueError, "one triplet an anchor"),
        (lambda: losses.TripletMargin(mining="easy"), ValueError, "'semi_hard'"),
        (lambda: losses.TripletMargin(distance="l1"), ValueError, "'euclidean'"),
        (lambda: losses.TripletMargin(distance="cosine", normalize=False), ValueError, "unit vectors"),
        (lambda: losses.TripletMargin(average="some"), ValueError, "average"),
        (lambda: losses.PairContrastive(miner="hard"), ValueError, "contrast.losses.miners"),
        (lambda: losses.PairContrastive(power=3), ValueError, "power"),
        (lambda: losses.PairContrastive(0), ValueError, "margin must be positive"),
        (lambda: losses.MultiSimilarity(alpha=0), ValueError, "alpha and beta"),
        (lambda: losses.Circle(gamma=-1), ValueError, "gamma"),
        (lambda: losses.SoftNearestNeighbor(0), ValueError, "temperature"),
        (lambda: HardestPairs(positive="semi_hard"), ValueError, "positive must be"),
        (lambda: losses.Circle()(None, VIEWS[:, :1]), ValueError, "needs ids"),
        (lambda: losses.Circle()(IDS, VIEWS[:, 0]), ValueError, r"\(batch, views, dim\)"),
        (lambda: losses.Circle()(list("aabbccdd"), VIEWS), TypeError, "np.unique"),
        (lambda: losses.Circle()(IDS, VIEWS, negatives=VIEWS), ValueError, r"negatives \(n, dim\)"),
        (lambda: losses.NPairs()(IDS, VIEWS, negatives=NEGATIVES), ValueError, "takes no negatives"),
        (
            lambda: losses.Circle()(None, VIEWS, references=(REFERENCES, [0, 1, 2, 3], None)),
            ValueError,
            "y_true must hold the ids",
        ),
        (
            lambda: losses.Circle()(IDS, VIEWS, references=(REFERENCES[:, :2], [0, 1, 2, 3], None)),
            ValueError,
            r"references must be \(n, 5\)",
        ),
        (
            lambda: losses.Circle()(IDS, VIEWS, references=(REFERENCES, [0.0, 1.0, 2.0, 3.0], None)),
            TypeError,
            "the ids of references",
        ),
        (
            lambda: losses.SoftTargetContrastive()(np.eye(8), VIEWS, references=(REFERENCES, [0] * 4, None)),
            ValueError,
            "give them as negatives",
        ),
    ],
)
def test_bad_input(call, error, says):
    with pytest.raises(error, match=says):
        call()


def test_a_miner_is_part_of_the_configuration():
    loss = losses.PairContrastive(miner=MultiSimilarityMiner(0.3))
    assert losses.PairContrastive.from_config(loss.get_config()).miner.epsilon == 0.3
