import importlib
import logging

import keras
import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import balanced_accuracy_score

from contrast.evaluation import few_shot_probe, knn_probe, linear_probe, ridge_probe

pytestmark = pytest.mark.once

rng = np.random.default_rng(0)
X, Y = (a.astype(t) for a, t in zip(load_digits(return_X_y=True), ("float32", "int64"), strict=True))
TRAIN, TEST = X[:300], X[300:500]
TRAIN_Y, TEST_Y = Y[:300], Y[300:500]
PARTS = (TRAIN, TRAIN_Y, TEST, TEST_Y)
NAN = np.where(np.arange(300)[:, None] % 100 == 3, np.nan, TRAIN)


def standardised():
    mean, std = TRAIN.mean(axis=0), TRAIN.std(axis=0)
    return [(x - mean) / np.where(std > 0, std, 1) for x in (TRAIN, TEST)]


@pytest.mark.parametrize("strength", [1e-4, 1e-2, 1.0])
def test_linear_probe_of_a_given_strength_is_sklearns(strength):
    train, test = standardised()
    predicted = LogisticRegression(C=strength, max_iter=1000).fit(train, TRAIN_Y).predict(test)
    scores = linear_probe(*PARTS, C=strength)
    assert scores["accuracy"] == pytest.approx(np.mean(predicted == TEST_Y), abs=0.006)
    assert scores["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(TEST_Y, predicted), abs=0.006)
    assert scores["C"] == strength


def test_strength_is_chosen_on_a_part_of_the_training_rows():
    """With some rows of many noisy columns: the test part changes nothing, and all training rows are used."""
    x = rng.normal(size=(300, 200))
    y = (x[:, :5].sum(axis=1) + rng.normal(size=300) > 0).astype(int)
    train, others = (x[:100], y[:100]), (x[100:], y[100:])
    chosen = linear_probe(*train, *others)
    other = linear_probe(*train, x[100:], 1 - y[100:])
    assert chosen["C"] == other["C"] and chosen["accuracy"] == pytest.approx(1 - other["accuracy"])
    assert chosen == linear_probe(*train, *others, C=chosen["C"])
    assert linear_probe(*train, *others, C=(3.0, 0.1))["C"] in (3.0, 0.1)
    assert chosen["accuracy"] > linear_probe(*train, *others, C=1e-4)["accuracy"] + 0.05


def test_linear_probe_learns_on_any_scale_and_reads_names():
    plain = linear_probe(*PARTS)
    assert plain["accuracy"] > 0.75
    names = np.array([f"digit {i}" for i in range(10)])
    moved = linear_probe(1e4 * TRAIN + 7, names[TRAIN_Y], 1e4 * TEST + 7, names[TEST_Y])
    assert moved["accuracy"] == pytest.approx(plain["accuracy"], abs=0.01)
    tensors = [keras.ops.convert_to_tensor(part) for part in PARTS]
    assert linear_probe(*tensors) == plain
    assert linear_probe(TRAIN, TRAIN_Y.astype("float32"), TEST, TEST_Y) == plain


def test_rare_classes_keep_a_row_on_both_sides_of_the_choice():
    y = np.r_[np.zeros(20), 1, 1, 2, 2].astype(int)
    x = np.eye(3)[y] + 0.01 * rng.normal(size=(24, 3))
    assert linear_probe(x, y, x, y, validation=0.01)["accuracy"] > 0.8
    linear_probe(x, y, x, y, validation=0.99)


def test_constant_features_give_the_largest_class(caplog):
    y = np.array([0, 1, 1, 2, 1])
    with caplog.at_level(logging.WARNING, logger="contrast"):
        scores = linear_probe(np.ones((5, 3)), y, np.ones((5, 3)), y, C=1)
    assert scores == {"accuracy": 0.6, "balanced_accuracy": pytest.approx(1 / 3), "C": 1.0}
    assert "all alike" in caplog.text
    assert knn_probe(np.ones((5, 3)), y, np.ones((5, 3)), y, k=5)["accuracy"] == 0.6


def test_too_few_steps_are_reported(caplog):
    with caplog.at_level(logging.WARNING, logger="contrast"):
        linear_probe(*PARTS, C=10.0, max_iter=2)
    assert "C=10 has not converged in 2 steps; raise max_iter" in caplog.text


@pytest.mark.parametrize("k", [1, 20, 300])
@pytest.mark.parametrize("temperature", [0.07, 1e-4])
def test_knn_probe_by_hand(k, temperature, monkeypatch):
    module = importlib.import_module("contrast.evaluation.knn_probe")
    monkeypatch.setattr(module, "VOTES", 7 * (k + 10))  # many chunks, the last partial
    train, test = (x / np.linalg.norm(x.astype("float64"), axis=1, keepdims=True) for x in (TRAIN, TEST))
    predicted = []
    for row in test @ train.T:
        nearest = np.argsort(-row)[:k]
        weights = np.exp((row[nearest] - row.max()) / temperature)
        predicted.append(np.argmax([weights[TRAIN_Y[nearest] == name].sum() for name in range(10)]))
    scores = knn_probe(*PARTS, k=k, temperature=temperature)
    assert scores["accuracy"] == np.mean(np.array(predicted) == TEST_Y)
    assert scores["balanced_accuracy"] == pytest.approx(balanced_accuracy_score(TEST_Y, predicted))


def test_knn_votes_are_weighted():
    train = np.array([[1.0, 0.0], [0.6, 0.8], [0.6, -0.8]])
    for temperature, right in ((0.1, 1.0), (10.0, 0.0)):  # one near vote against two far ones
        scores = knn_probe(train, ["a", "b", "b"], [[1.0, 0.0]], ["a"], k=3, temperature=temperature)
        assert scores["accuracy"] == right


def test_ridge_probe_is_sklearns():
    target = TRAIN @ rng.normal(size=64) + rng.normal(size=300)
    test_target = np.arange(200.0)
    train, test = standardised()
    predicted = Ridge(10.0).fit(train, target).predict(test)
    scores = ridge_probe(TRAIN, target, TEST, test_target, alphas=(10.0,))
    residual = ((predicted - test_target) ** 2).sum() / ((test_target - test_target.mean()) ** 2).sum()
    assert scores["r2"] == pytest.approx(1 - residual, rel=1e-4)
    assert scores["mean_absolute_error"] == pytest.approx(np.abs(predicted - test_target).mean(), rel=1e-4)
    noise = rng.normal(size=(100, 90))
    chosen = ridge_probe(noise[:50], noise[:50, 0], noise[50:], noise[50:, 0])
    assert (
        chosen["alpha"]
        < ridge_probe(noise[:50], rng.normal(size=50), noise[50:], rng.normal(size=50))["alpha"]
    )


def test_few_shots_by_hand():
    """With two rows a class, one shown and one asked, there are four episodes; each is as likely."""
    x = np.array([[1.0, 0.0], [1.0, 0.1], [0.0, 1.0], [1.0, 0.2]])
    scores = few_shot_probe(x, [0, 0, 1, 1], shots=(1,), episodes=400)
    wanted = np.mean([_accuracy(x, a, b) for a in (0, 1) for b in (2, 3)])
    assert scores["accuracy_1_shot"] == pytest.approx(wanted, abs=3 * scores["interval_1_shot"])
    assert 0 < scores["interval_1_shot"] < 0.05


def _accuracy(x, first, second):
    x = x / np.linalg.norm(x, axis=1, keepdims=True)
    distances = [
        [np.linalg.norm(x[row] - x[shown]) for shown in (first, second)] for row in (1 - first, 5 - second)
    ]
    return np.mean(np.argmin(distances, axis=1) == [0, 1])


@pytest.mark.parametrize("classifier", ["prototype", "logistic"])
def test_few_shots_on_digits(classifier):
    options = {"episodes": 12, "classifier": classifier, "queries": 5}
    scores = few_shot_probe(X[:500], Y[:500], shots=(1, 10), **options)
    assert 0.3 < scores["accuracy_1_shot"] < scores["accuracy_10_shot"] < 1
    assert scores == few_shot_probe(100 * X[:500], Y[:500], shots=(1, 10), **options)
    two = few_shot_probe(X[:500], Y[:500], shots=(1,), ways=2, **options)
    assert two["accuracy_1_shot"] > scores["accuracy_1_shot"]
    shuffled = few_shot_probe(X[:500], rng.permutation(Y[:500]), shots=(10,), **options)
    assert shuffled["accuracy_10_shot"] < 0.2


def test_the_interval_holds_the_mean_of_many_episodes():
    """Over 20 seeds about 19 of the intervals hold the mean of all."""
    runs = [few_shot_probe(X[:300], Y[:300], shots=(1,), episodes=30, seed=seed) for seed in range(20)]
    mean = np.mean([run["accuracy_1_shot"] for run in runs])
    inside = sum(abs(run["accuracy_1_shot"] - mean) < run["interval_1_shot"] for run in runs)
    assert inside >= 16


@pytest.mark.parametrize("probe", [linear_probe, knn_probe])
@pytest.mark.parametrize(
    ("changed", "says"),
    [
        ({0: NAN}, "train_features must be finite, got NaN or infinity in 3 of 300 rows"),
        ({2: TEST[0]}, r"test_features must be \(rows, dim\).* got shape \(64,\)"),
        ({2: TEST[:0], 3: TEST_Y[:0]}, r"test_features must be .* got shape \(0, 64\)"),
        ({2: TEST[:, :5]}, "must have one width, got 64 and 5"),
        ({1: TRAIN_Y[:4]}, r"train_labels must be \(300,\), one for each row, got shape \(4,\)"),
        ({1: np.eye(10)[TRAIN_Y]}, r"train_labels must be \(300,\), .* got shape \(300, 10\)"),
        ({1: np.full(300, 4)}, "train_labels must hold at least two classes, got 4 alone"),
        ({1: TRAIN_Y + 0.5}, "train_labels must be classes, got floats such as 0.5; .* ridge_probe"),
        ({1: TRAIN_Y * 1j}, "train_labels must be ints or strings, got complex128"),
        ({3: TEST_Y + 9}, "test_labels holds 9 classes that train_labels does not, such as 10, 11, 12"),
    ],
)
def test_bad_input(probe, changed, says):
    with pytest.raises(ValueError, match=says):
        probe(*[changed.get(i, part) for i, part in enumerate(PARTS)])


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: linear_probe(*PARTS, C=0), "C must be positive, got 0"),
        (lambda: linear_probe(*PARTS, C=()), "C must be positive"),
        (lambda: linear_probe(*PARTS, validation=1.0), r"validation must lie in \(0, 1\), got 1.0"),
        (
            lambda: linear_probe(X[:4], [0, 0, 1, 2], X[:4], [0, 0, 1, 2]),
            "each class at least twice.*got 1 once",
        ),
        (lambda: knn_probe(*PARTS, k=301), "k must be at most the 300 training rows, got 301"),
        (lambda: knn_probe(*PARTS, k=0), "k must be a positive int, got 0"),
        (lambda: knn_probe(*PARTS, temperature=0), "temperature must be positive"),
        (lambda: ridge_probe(TRAIN, TRAIN_Y[:3], TEST, TEST_Y), r"train_targets must be \(300,\)"),
        (
            lambda: ridge_probe(TRAIN, np.full(300, np.nan), TEST, TEST_Y),
            "NaN or infinity in 300 of 300 rows",
        ),
        (
            lambda: ridge_probe(TRAIN, TRAIN_Y, TEST, np.ones(200)),
            "test_targets must not be all alike, got 1",
        ),
        (lambda: ridge_probe(TRAIN, TRAIN_Y, TEST, TEST_Y, alphas=()), "alphas must be positive"),
        (
            lambda: few_shot_probe(X, Y, shots=(200,)),
            "shots must be below the rows of every class, got 200, and 8",
        ),
        (lambda: few_shot_probe(X, Y, shots=()), "shots must name at least one"),
        (lambda: few_shot_probe(X, Y, ways=11), "ways must be from 2 to the 10 classes, got 11"),
        (lambda: few_shot_probe(X, Y, ways=1), "ways must be from 2"),
        (lambda: few_shot_probe(X, Y, episodes=1), "episodes must be at least 2"),
        (lambda: few_shot_probe(X, Y, queries=0), "queries must be a positive int"),
        (lambda: few_shot_probe(X, Y, classifier="svm"), "classifier must be"),
    ],
)
def test_bad_arguments(make, says):
    with pytest.raises(ValueError, match=says):
        make()
