import importlib
import itertools

import keras
import numpy as np
import pytest
from sklearn.metrics import average_precision_score, ndcg_score

from contrast.evaluation import clustering_scores, linear_cka, retrieval_scores, sts_spearman
from contrast.metrics import RecallAtK

pytestmark = pytest.mark.once

rng = np.random.default_rng(0)
QUERIES, GALLERY = rng.normal(size=(23, 6)), rng.normal(size=(40, 6))
QUERY_LABELS, GALLERY_LABELS = rng.integers(0, 5, 23), rng.integers(0, 5, 40)
NAN = np.where(np.arange(23)[:, None] % 10 == 3, np.nan, QUERIES)


def cosines(queries, gallery):
    queries, gallery = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (queries, gallery))
    return queries @ gallery.T


@pytest.fixture(params=[2**20, 40 * 5])
def chunks(request, monkeypatch):
    """Whole, and in chunks of five queries, the last one partial."""
    module = importlib.import_module("contrast.evaluation.retrieval_scores")
    monkeypatch.setattr(module, "ENTRIES", request.param)


@pytest.mark.usefixtures("chunks")
def test_retrieval_agrees_with_sklearn():
    scores = retrieval_scores(QUERIES, QUERY_LABELS, GALLERY, GALLERY_LABELS, ks=(1, 7))
    relevant = QUERY_LABELS[:, None] == GALLERY_LABELS
    similarity = cosines(QUERIES, GALLERY)
    precision = [average_precision_score(r, s) for r, s in zip(relevant, similarity, strict=True)]
    assert scores["map"] == pytest.approx(np.mean(precision), abs=1e-6)
    assert scores["ndcg_at_7"] == pytest.approx(ndcg_score(relevant, similarity, k=7), abs=1e-6)
    order = np.take_along_axis(relevant, np.argsort(-similarity, axis=1), axis=1)
    assert scores["recall_at_7"] == pytest.approx(order[:, :7].any(axis=1).mean())
    assert scores["mrr"] == pytest.approx(np.mean(1 / (1 + order.argmax(axis=1))))
    assert (scores["queries"], scores["without_relevant"]) == (23, 0)


@pytest.mark.usefixtures("chunks")
def test_grades_agree_with_sklearn():
    grades = rng.integers(0, 4, (23, 40)) * rng.integers(0, 2, (23, 40))
    relevance = [{int(row): int(grade[row]) for row in np.flatnonzero(grade)} for grade in grades]
    scores = retrieval_scores(QUERIES, gallery_embeddings=GALLERY, relevance=relevance, ks=(10, 40))
    similarity = cosines(QUERIES, GALLERY)
    for k in (10, 40):
        assert scores[f"ndcg_at_{k}"] == pytest.approx(ndcg_score(grades, similarity, k=k), abs=1e-6)
    sets = [np.flatnonzero(grade) for grade in grades]
    binary = retrieval_scores(QUERIES, gallery_embeddings=GALLERY, relevance=sets, ks=(10,))
    assert binary["map"] == scores["map"]
    assert binary["ndcg_at_10"] == pytest.approx(ndcg_score(grades > 0, similarity, k=10), abs=1e-6)


@pytest.mark.usefixtures("chunks")
@pytest.mark.parametrize("alone", [True, False])
def test_retrieval_agrees_with_pytorch_metric_learning(alone):
    import torch
    from pytorch_metric_learning.distances import CosineSimilarity
    from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator
    from pytorch_metric_learning.utils.inference import CustomKNN

    peer = AccuracyCalculator(
        include=(
            "mean_average_precision",
            "mean_average_precision_at_r",
            "mean_reciprocal_rank",
            "precision_at_1",
            "r_precision",
        ),
        device=torch.device("cpu"),
        knn_func=CustomKNN(CosineSimilarity()),
        kmeans_func=lambda *_: None,
    )
    ours = [GALLERY, GALLERY_LABELS] if alone else [QUERIES, QUERY_LABELS, GALLERY, GALLERY_LABELS]
    expected = peer.get_accuracy(*[torch.tensor(x) for x in ours])
    scores = retrieval_scores(*ours)
    for name, peers in (
        ("map", "mean_average_precision"),
        ("map_at_r", "mean_average_precision_at_r"),
        ("mrr", "mean_reciprocal_rank"),
        ("recall_at_1", "precision_at_1"),
        ("r_precision", "r_precision"),
    ):
        assert scores[name] == pytest.approx(expected[peers], abs=1e-6), name


@pytest.mark.parametrize("make", [lambda x: x, lambda x: np.ones_like(x), lambda x: np.round(x) + 0.01])
def test_recall_is_that_of_the_metric(make):
    """Random, constant, and many equal embeddings: a tie is no hit in either."""
    keys, queries = make(GALLERY[:23]), make(QUERIES)
    ids = QUERY_LABELS
    for k in (1, 3):
        metric = RecallAtK(k)
        metric.update_state(ids, (queries, keys))
        found = retrieval_scores(queries, ids, keys, ids, ks=(k,))[f"recall_at_{k}"]
        assert found == pytest.approx(float(metric.result()), abs=1e-6)


def test_retrieval_by_hand():
    gallery = np.array([[1.0, 0.0], [0.9, 0.1], [0.5, 0.5], [0.0, 1.0]])
    scores = retrieval_scores([[1.0, 0.0]], [1], gallery, [0, 1, 0, 1], ks=(1, 2))
    assert scores == pytest.approx(
        {
            "recall_at_1": 0,
            "recall_at_2": 1,
            "ndcg_at_1": 0,
            "ndcg_at_2": (1 / np.log2(3)) / (1 + 1 / np.log2(3)),
            "map": (1 / 2 + 2 / 4) / 2,
            "map_at_r": (1 / 2) / 2,
            "r_precision": 1 / 2,
            "mrr": 1 / 2,
            "queries": 1,
            "without_relevant": 0,
        }
    )


def test_constant_embeddings_are_the_worst_order():
    scores = retrieval_scores(np.ones((6, 3)), [0, 0, 0, 1, 1, 1], ks=(1, 4))
    assert scores["recall_at_1"] == 0 and scores["mrr"] == 0.25
    graded = retrieval_scores(np.ones((1, 2)), None, np.ones((3, 2)), relevance=[{0: 2.0, 2: 1.0}], ks=(2,))
    assert graded["ndcg_at_2"] == pytest.approx((1 / np.log2(3)) / (2 + 1 / np.log2(3)))


def test_queries_without_a_relevant_item_are_left_out_and_counted():
    scores = retrieval_scores(QUERIES[:3], ["a", "b", "c"], QUERIES[:3], ["a", "b", "d"], ks=(1,))
    assert scores["map"] == 1 and (scores["queries"], scores["without_relevant"]) == (2, 1)
    alone = retrieval_scores(QUERIES[:3], ["a", "b", "c"], ks=(1,))
    assert (alone["queries"], alone["without_relevant"]) == (0, 3)
    assert np.isnan(alone["map"]) and np.isnan(alone["recall_at_1"])
    empty = retrieval_scores(QUERIES[:2], gallery_embeddings=GALLERY, relevance=[[], {3: 0.0}], ks=(1,))
    assert empty["without_relevant"] == 2


def test_retrieval_takes_tensors_and_no_query_finds_itself():
    tensors = [keras.ops.convert_to_tensor(x) for x in (QUERIES, QUERY_LABELS)]
    assert retrieval_scores(*tensors) == retrieval_scores(QUERIES, QUERY_LABELS)
    pairs = np.repeat(np.eye(4), 2, axis=0)
    assert retrieval_scores(pairs, np.arange(8) % 4, ks=(1,))["recall_at_1"] == 0
    assert retrieval_scores(pairs, np.arange(8) // 2, ks=(1,))["recall_at_1"] == 1


def best_assignment(found, labels):
    classes = sorted({*labels, *found})
    return max(
        np.mean([dict(zip(classes, order, strict=True))[c] == y for c, y in zip(found, labels, strict=True)])
        for order in itertools.permutations(classes)
    )


def test_clusters_by_hand():
    found, labels = rng.integers(0, 4, 30), rng.integers(0, 3, 30)
    assert clustering_scores(found, labels)["accuracy"] == pytest.approx(best_assignment(found, labels))
    assert clustering_scores(labels, found)["accuracy"] == pytest.approx(best_assignment(found, labels))
    perfect = {"accuracy": 1, "nmi": pytest.approx(1), "ari": 1}
    assert clustering_scores((labels + 1) % 3, np.array(list("abc"))[labels]) == perfect
    chance = clustering_scores(rng.integers(0, 3, 3000), rng.integers(0, 3, 3000))
    assert abs(chance["ari"]) < 0.01 and chance["nmi"] < 0.01 and 1 / 3 < chance["accuracy"] < 0.4
    table = {(c, y): np.mean((found == c) & (labels == y)) for c in range(4) for y in range(3)}
    mutual = sum(
        p * np.log(p / (np.mean(found == c) * np.mean(labels == y))) for (c, y), p in table.items() if p
    )
    entropies = [-sum(p * np.log(p) for p in np.bincount(x) / 30 if p) for x in (found, labels)]
    assert clustering_scores(found, labels)["nmi"] == pytest.approx(mutual / np.mean(entropies))


def test_kmeans_goes_by_cosine_unless_told_otherwise():
    labels = np.arange(60) % 3
    directions = np.eye(3)[labels] + 0.05 * rng.normal(size=(60, 3))
    scaled = directions * 10.0 ** rng.uniform(-2, 2, (60, 1))
    assert clustering_scores(scaled, labels)["accuracy"] == 1
    assert clustering_scores(scaled, labels, normalize=False)["accuracy"] < 0.8
    assert clustering_scores(directions, labels, clusters=2)["accuracy"] == pytest.approx(2 / 3)
    # A constant encoder leaves one cluster.
    with pytest.warns(match="distinct clusters"):
        assert clustering_scores(np.ones((60, 3)), labels)["accuracy"] == pytest.approx(1 / 3)


def test_spearman_by_hand():
    first, second = QUERIES, GALLERY[:23]
    gold = rng.integers(0, 6, 23).astype(float)  # with ties
    scores = np.diag(cosines(first, second))

    def ranks(x):
        return np.array([(x < value).sum() + ((x == value).sum() + 1) / 2 for value in x])

    expected = np.corrcoef(ranks(scores), ranks(gold))[0, 1]
    assert sts_spearman(first, second, gold) == pytest.approx(expected, abs=1e-9)
    assert sts_spearman(3 * second, 9 * first, np.exp(gold)) == pytest.approx(expected, abs=1e-9)
    assert sts_spearman(first, second, scores) == pytest.approx(1)
    assert sts_spearman(first, second, -scores) == pytest.approx(-1)
    assert np.isnan(sts_spearman(np.ones((3, 2)), np.ones((3, 2)), [1, 2, 3]))
    assert np.isnan(sts_spearman(first, first * 7, gold))  # rounding is no order


def gram_hsic(x, y):
    """The unbiased estimate of HSIC from Gram matrices, Eq. 5 of Song et al. 2012."""
    n = len(x)
    k, l = (z @ z.T * (1 - np.eye(n)) for z in (x, y))  # noqa: E741
    ones = np.ones(n)
    return (
        np.trace(k @ l)
        + (ones @ k @ ones) * (ones @ l @ ones) / ((n - 1) * (n - 2))
        - 2 / (n - 2) * (ones @ k @ l @ ones)
    ) / (n * (n - 3))


@pytest.mark.parametrize("shapes", [(30, 4, 7), (9, 20, 15), (12, 3, 40)])
def test_cka_from_gram_matrices(shapes):
    n, *dims = shapes
    x, y = (rng.normal(size=(n, dim)) + 1 for dim in dims)
    y[:, 0] += 3 * x[:, 1]
    centring = np.eye(n) - 1 / n
    k, l = (centring @ z @ z.T @ centring for z in (x, y))  # noqa: E741
    expected = np.sum(k * l) / np.sqrt(np.sum(k * k) * np.sum(l * l))
    assert linear_cka(x, y) == pytest.approx(expected, rel=1e-5)
    debiased = gram_hsic(x, y) / np.sqrt(gram_hsic(x, x) * gram_hsic(y, y))
    assert linear_cka(x, y, debiased=True) == pytest.approx(debiased, rel=1e-4)


@pytest.mark.parametrize("debiased", [False, True])
def test_what_cka_does_not_see(debiased):
    x, y = rng.normal(size=(40, 5)), rng.normal(size=(40, 3))
    rotation = np.linalg.qr(rng.normal(size=(5, 5)))[0]
    order = rng.permutation(40)
    plain = linear_cka(x, y, debiased=debiased)
    for other in (linear_cka(y, x, debiased=debiased), linear_cka(x[order], y[order], debiased=debiased)):
        assert other == pytest.approx(plain, abs=1e-6)
    assert linear_cka(1e20 * x @ rotation + 1e20, 1e-20 * y, debiased=debiased) == pytest.approx(
        plain, abs=1e-5
    )
    assert linear_cka(x, x @ rotation, debiased=debiased) == pytest.approx(1, abs=1e-6)
    assert linear_cka(x, x * 10.0 ** np.arange(5), debiased=debiased) < 0.9
    assert np.isnan(linear_cka(x, np.full((40, 3), 0.1), debiased=debiased))


def test_debiased_cka_of_independent_features_is_near_zero():
    pairs = [(rng.normal(size=(20, 50)), rng.normal(size=(20, 50))) for _ in range(30)]
    assert np.mean([linear_cka(*pair) for pair in pairs]) > 0.6
    assert abs(np.mean([linear_cka(*pair, debiased=True) for pair in pairs])) < 0.1


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: retrieval_scores(NAN, QUERY_LABELS), "NaN or infinity in 2 of 23 rows"),
        (lambda: retrieval_scores(QUERIES), "either query_labels or relevance"),
        (
            lambda: retrieval_scores(QUERIES, QUERY_LABELS, relevance=[[0]] * 23),
            "either query_labels or relevance",
        ),
        (lambda: retrieval_scores(QUERIES, QUERY_LABELS, GALLERY), "must be given together"),
        (lambda: retrieval_scores(QUERIES, QUERY_LABELS, None, GALLERY_LABELS), "must be given together"),
        (lambda: retrieval_scores(QUERIES, QUERY_LABELS[1:]), r"query_labels must be \(23,\)"),
        (
            lambda: retrieval_scores(QUERIES, QUERY_LABELS, GALLERY[:, 1:], GALLERY_LABELS),
            "one width, got 6 and 5",
        ),
        (lambda: retrieval_scores(QUERIES, QUERY_LABELS, ks=(23,)), "at most the 22 items .* got 23"),
        (lambda: retrieval_scores(QUERIES, QUERY_LABELS, GALLERY, GALLERY_LABELS, ks=(41,)), "the 40 items"),
        (lambda: retrieval_scores(QUERIES, QUERY_LABELS, ks=()), "ks must name at least one"),
        (lambda: retrieval_scores(QUERIES, QUERY_LABELS, ks=(0,)), "ks must be a positive int, got 0"),
        (lambda: retrieval_scores(QUERIES, relevance=[[0]]), "one entry for each of 23 queries, got 1"),
        (lambda: retrieval_scores(QUERIES, relevance=[[23]] * 23), "query 0 names a row outside .* 23 rows"),
        (lambda: retrieval_scores(QUERIES, relevance=[{1: -1}] * 23), "query 0 has a grade that is negative"),
        (
            lambda: retrieval_scores(QUERIES, None, GALLERY, GALLERY_LABELS, relevance=[[0]] * 23),
            "gallery_labels must be None",
        ),
        (lambda: clustering_scores(QUERIES, QUERY_LABELS[:3]), r"labels must be \(23,\)"),
        (lambda: clustering_scores(QUERIES, QUERY_LABELS, clusters=24), "at most the 23 rows, got 24"),
        (lambda: clustering_scores(NAN, QUERY_LABELS), "NaN or infinity in 2 of 23 rows"),
        (lambda: clustering_scores(QUERIES[:, 0], QUERY_LABELS), "must be classes, got floats"),
        (lambda: clustering_scores([], []), "at least one row"),
        (lambda: sts_spearman(QUERIES, GALLERY, np.arange(23)), "got 23, 40 and shape"),
        (
            lambda: sts_spearman(QUERIES, QUERIES, np.ones(23)),
            "gold must not be all alike, got 1 for all 23 pairs",
        ),
        (lambda: sts_spearman(QUERIES, QUERIES, np.full(23, np.nan)), "gold must be finite, .* 23 rows"),
        (lambda: sts_spearman(QUERIES[:1], QUERIES[:1], [1]), "at least two pairs"),
        (lambda: linear_cka(QUERIES, GALLERY), "same samples, at least 2, got 23 and 40 rows"),
        (lambda: linear_cka(QUERIES[:3], QUERIES[:3], debiased=True), "at least 4, got 3 and 3"),
    ],
)
def test_bad_input(make, says):
    with pytest.raises(ValueError, match=says):
        make()
