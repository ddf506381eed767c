import keras
import numpy as np
import pytest
from scipy.spatial.distance import pdist

from contrast.losses import NTXent
from contrast.metrics import (
    Alignment,
    EffectiveRank,
    RecallAtK,
    Uniformity,
    alignment,
    effective_rank,
    recall_at_k,
    uniformity,
)
from tests.case import assert_close, to_numpy

rng = np.random.default_rng(0)
BATCHES = [rng.normal(1, 2, size=(n, 2, 6)) * [1, 1, 1, 0.5, 0.1, 0.02] for n in (9, 9, 4)]
WEIGHTS = [rng.uniform(0.5, 2, size=len(batch)) for batch in BATCHES]
ALL = np.concatenate(BATCHES)
NAN = np.full((4, 2, 3), np.nan)
METRICS = [Alignment, EffectiveRank, RecallAtK, Uniformity]


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def roy_vetterli(x):
    singular = np.linalg.svd(x, compute_uv=False)
    share = singular / singular.sum()
    share = share[share > 1e-12]
    return np.exp(-(share * np.log(share)).sum())


def hits(queries, keys, k, ids):
    similarity = unit(queries) @ unit(keys).T
    found = []
    for i, row in enumerate(similarity):
        order = sorted(range(len(row)), key=lambda j: (-row[j], ids[j] == ids[i]))
        found.append(any(ids[j] == ids[i] for j in order[:k]))
    return np.array(found, "float32")


def streamed(metric, weights=None):
    for number, batch in enumerate(BATCHES):
        metric.update_state(None, batch, None if weights is None else weights[number])
    return metric.result()


@pytest.mark.parametrize("alpha", [1.0, 2.0, 3.0])
def test_alignment(alpha):
    distances = np.linalg.norm(unit(ALL[:, 0]) - unit(ALL[:, 1]), axis=1) ** alpha
    assert_close(alignment(ALL[:, 0], ALL[:, 1], alpha), distances.mean())
    assert_close(streamed(Alignment(alpha)), distances.mean())
    weighted = np.average(distances, weights=np.concatenate(WEIGHTS))
    assert_close(streamed(Alignment(alpha), WEIGHTS), weighted)


def test_alignment_takes_every_pair_of_views():
    views = rng.normal(size=(5, 3, 4))
    metric = Alignment()
    metric.update_state(None, views)
    pairs = [(0, 1), (0, 2), (1, 2)]
    expected = np.mean([to_numpy(alignment(views[:, i], views[:, j])) for i, j in pairs])
    assert_close(metric.result(), expected)


@pytest.mark.parametrize("t", [0.5, 2.0])
def test_uniformity(t):
    kernels = [np.exp(-t * pdist(unit(batch[:, v]), "sqeuclidean")) for batch in BATCHES for v in (0, 1)]
    assert_close(uniformity(BATCHES[0][:, 0], t), np.log(kernels[0].mean()))
    assert_close(streamed(Uniformity(t)), np.log(np.concatenate(kernels).mean()))


def test_uniformity_weighs_pairs():
    metric = Uniformity()
    metric.update_state(None, np.eye(4)[:3, None], np.array([1.0, 1.0, 0.0]))
    metric.update_state(None, np.ones((2, 1, 4)), np.array([0.5, 1.0]))
    assert_close(metric.result(), np.log((np.exp(-4.0) + 0.5) / 1.5))


@pytest.mark.parametrize("center", [False, True])
def test_effective_rank(center):
    rows = ALL.reshape(-1, 6)
    expected = roy_vetterli(rows - center * rows.mean(axis=0))
    assert 2 < expected < 5
    assert_close(effective_rank(rows, center), expected)
    assert_close(streamed(EffectiveRank(center)), expected, 1e-4)


def test_effective_rank_weighted_and_normalised():
    rows = unit(ALL) * np.sqrt(np.concatenate(WEIGHTS))[:, None, None]
    expected = roy_vetterli(rows.reshape(-1, 6))
    assert_close(streamed(EffectiveRank(normalize=True), WEIGHTS), expected, 1e-4)


def test_rank_one_among_many_dimensions():
    rows = rng.normal(size=(400, 1)) * rng.normal(size=(1, 64))
    metric = EffectiveRank()
    for batch in np.split(rows, 8):
        metric.update_state(None, batch[:, None])
    assert_close(metric.result(), np.float32(1), 1e-3)
    assert_close(effective_rank(rows), np.float32(1), 1e-4)


def test_effective_rank_of_nothing():
    constant = np.full((50, 7), 0.3)
    assert_close(effective_rank(constant), np.float32(1), 1e-3)
    assert float(to_numpy(effective_rank(constant, center=True))) == 0
    assert float(to_numpy(effective_rank(np.zeros((3, 2))))) == 0
    centred = EffectiveRank(center=True)
    centred.update_state(None, constant[:, None])
    assert float(to_numpy(centred.result())) == 0


@pytest.mark.parametrize("k", [1, 3])
def test_recall(k):
    queries = rng.normal(size=(20, 4))
    keys = queries + 0.7 * rng.normal(size=(20, 4))
    ids = rng.integers(0, 8, size=20)
    alone = hits(queries, keys, k, np.arange(20)).mean()
    shared = hits(queries, keys, k, ids).mean()
    assert 0.1 < alone < shared < 1
    assert_close(recall_at_k(queries, keys, k), alone)
    assert_close(recall_at_k(queries, keys, k, ids), shared)
    metric = RecallAtK(k)
    metric.update_state(ids, np.stack([queries, keys], axis=1), np.repeat([1.0, 3.0], 10))
    metric.update_state(None, np.ones((k, 2, 4)))  # too small a batch to say anything
    halves = hits(queries, keys, k, ids).reshape(2, 10).mean(axis=1)
    assert_close(metric.result(), 0.25 * halves[0] + 0.75 * halves[1])


@pytest.mark.parametrize("embedding", [np.ones((33, 7)), np.full((33, 7), 0.3), np.zeros((33, 7))])
def test_recall_of_a_constant_embedding_is_nothing(embedding):
    for k in (1, 10, 32):
        assert float(to_numpy(recall_at_k(embedding, embedding, k))) == 0


def test_nan_shows():
    assert float(to_numpy(recall_at_k(NAN[:, 0], NAN[:, 1]))) == 0
    for metric in (Alignment(), Uniformity(), EffectiveRank(), EffectiveRank(center=True)):
        metric.update_state(None, NAN)
        assert np.isnan(to_numpy(metric.result())), metric.name
        metric.reset_state()
        metric.update_state(None, np.eye(3)[:, None] * [[[1], [1]]])
        assert np.isfinite(to_numpy(metric.result())), metric.name
    for value in (alignment(*NAN[:2, 0][:, None]), uniformity(NAN[:, 0]), effective_rank(NAN[:, 0])):
        assert np.isnan(to_numpy(value))


@pytest.mark.parametrize("metric_class", METRICS)
def test_nothing_seen_is_nan_and_bad_input_is_refused(metric_class):
    metric = metric_class()
    assert np.isnan(to_numpy(metric.result()))
    metric.update_state(None, (np.eye(3), np.eye(3)))
    with pytest.raises(ValueError, match="empty"):
        metric.update_state(None, np.zeros((0, 2, 3)))
    with pytest.raises(ValueError, match=r"\(batch, views, dim\), got shape \(4, 3\)"):
        metric.update_state(None, np.ones((4, 3)))
    with pytest.raises(ValueError, match="pair"):
        metric.update_state(None, (np.ones((4, 3)), np.ones((4, 2))))
    twin = metric_class.from_config(metric.get_config())
    assert twin.get_config() == metric.get_config()


def test_one_sample():
    one = rng.normal(size=(1, 2, 5))
    values = {}
    for metric in (Alignment(), Uniformity(), EffectiveRank(), RecallAtK()):
        metric.update_state(None, one)
        values[metric.name] = float(to_numpy(metric.result()))
    assert np.isnan(values["uniformity"])
    assert np.isnan(values["recall_at_1"])
    assert values["effective_rank"] == pytest.approx(roy_vetterli(one[0]), abs=1e-3)
    assert values["alignment"] == pytest.approx(((unit(one[0, 0]) - unit(one[0, 1])) ** 2).sum(), rel=1e-4)


def test_errors():
    x = np.ones((3, 2))
    for call, message in [
        (lambda: alignment(x, x[:2]), "same shape"),
        (lambda: alignment(x, x, 0.0), "alpha must be positive, got 0.0"),
        (lambda: alignment(x[0], x[0]), r"x must be \(n, dim\), got shape \(2,\)"),
        (lambda: uniformity(x, -1.0), "t must be positive, got -1.0"),
        (lambda: uniformity(x[:1]), "two or more"),
        (lambda: effective_rank(x[:0]), "x is empty"),
        (lambda: recall_at_k(x, x, 4), "at most the number of keys, 3, got 4"),
        (lambda: recall_at_k(x, x[:2]), "same shape"),
        (lambda: RecallAtK(0), "k must be a positive int, got 0"),
        (lambda: RecallAtK(1).update_state(None, np.ones((3, 3, 2))), "two views"),
        (lambda: Alignment().update_state(None, np.ones((3, 1, 2))), "two views"),
    ]:
        with pytest.raises(ValueError, match=message):
            call()
    with pytest.raises(TypeError, match="integer ids"):
        recall_at_k(x, x, ids=["a", "b", "c"])
    metric = EffectiveRank()
    metric.update_state(None, x[:, None])
    with pytest.raises(ValueError, match="has seen dim 2, got 3"):
        metric.update_state(None, np.ones((3, 1, 3)))


@pytest.mark.parametrize(("dtype", "tolerance"), [("float32", 1e-4), ("mixed_bfloat16", 1e-2)])
def test_compiled_into_fit(dtype, tolerance):
    inputs = rng.normal(size=(10, 2, 5)).astype("float32")
    # The run in half precision has no targets.
    ids = np.array([0, 0, 1, 2, 3, 4, 5, 6, 7, 8]) if dtype == "float32" else None
    model = keras.Sequential([keras.Input((2, 5)), keras.layers.Dense(4, dtype=dtype)])
    metrics = [Alignment(), Uniformity(), EffectiveRank(), RecallAtK(1)]
    model.compile("sgd", loss=NTXent(), metrics=metrics)
    model.fit(inputs, ids, batch_size=4, verbose=0)
    found = model.evaluate(inputs, ids, batch_size=4, verbose=0, return_dict=True)
    outputs = to_numpy(model(inputs)).astype("float32")
    labels = np.arange(10) if ids is None else ids
    parts = [slice(0, 4), slice(4, 8), slice(8, 10)]
    kernels = [np.exp(-2 * pdist(unit(outputs[p, v]), "sqeuclidean")) for p in parts for v in (0, 1)]
    expected = {
        "alignment": np.square(unit(outputs[:, 0]) - unit(outputs[:, 1])).sum(axis=1).mean(),
        "uniformity": np.log(np.concatenate(kernels).mean()),
        "effective_rank": roy_vetterli(outputs.reshape(-1, 4)),
        "recall_at_1": np.concatenate(
            [hits(outputs[p, 0], outputs[p, 1], 1, labels[p]) for p in parts]
        ).mean(),
    }
    for name, value in expected.items():
        assert_close(np.float32(found[name]), np.float32(value), tolerance)
