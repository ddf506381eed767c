"""Every loss with the same encoder and budget: search among classes that were never seen."""

from collections.abc import Callable
from functools import partial

import numpy as np

from applications.claims import CLAIM, OBSERVATION, Arm, ArmResult, Check, Claim
from applications.metric_learning.corpus import HeldOutClasses, digits
from applications.metric_learning.methods import METHODS
from applications.metric_learning.reality_check import DIM, MetricModel
from applications.metric_learning.softmax import SoftmaxClassifier
from contrast.data import ClassBalancedBatches
from contrast.evaluation import retrieval_scores

EPOCHS, SAMPLES_PER_CLASS = 10, 20
RANDOM, CROSS_ENTROPY = "random encoder", "cross-entropy"
PRIMARY = "map_at_r"


def claims() -> list[Claim]:
    """One experiment: digits 0 to 4 are learned, 5 to 9 searched among, each by all others."""
    return [
        Claim(
            task="metric_learning",
            paper="reality_check",
            corpus="MNIST, digits never seen",
            primary_metric=PRIMARY,
            arms=[
                Arm(RANDOM, partial(_run, METHODS["MultiSimilarity"], epochs=0)),
                Arm(CROSS_ENTROPY, partial(_run, SoftmaxClassifier, class_rate=1e-3)),
                *(Arm(name, partial(_run, make)) for name, make in METHODS.items()),
            ],
            checks=[
                Check(
                    f"every loss of metric learning is above the {RANDOM}",
                    lambda r: all(_mean(r, name) > _mean(r, RANDOM) for name in METHODS),
                    CLAIM,
                ),
                Check(
                    f"the best loss of metric learning is above {CROSS_ENTROPY}",
                    lambda r: max(_mean(r, name) for name in METHODS) > _mean(r, CROSS_ENTROPY),
                    OBSERVATION,
                ),
                Check(
                    "the best loss is less than .05 above the median one",
                    lambda r: np.ptp(np.quantile([_mean(r, name) for name in METHODS], [0.5, 1])) < 0.05,
                    OBSERVATION,
                ),
            ],
            reference=CROSS_ENTROPY,
            baselines=_baselines,
        )
    ]


def _run(make: Callable, *, seed, fast, epochs=EPOCHS, class_rate=1e-2) -> ArmResult:
    data = _data(seed, fast)
    classes = int(data.train_ids.max()) + 1
    model = MetricModel.small(make(classes, dim=DIM))
    curves = {}
    if epochs:
        model.compile(model.optimizer_for(class_rate=class_rate))
        samples = 4 if fast else SAMPLES_PER_CLASS
        batches = ClassBalancedBatches(data.train, data.train_ids, classes, samples, seed=seed)
        history = model.fit(batches, epochs=1 if fast else epochs, shuffle=False, verbose=0)
        curves = {"loss": history.history["loss"]}
    validation = _scores(model.embed(data.validation), data.validation_ids)
    scores = _scores(model.embed(data.test), data.test_ids)
    return ArmResult({**scores, "validation map_at_r": validation[PRIMARY]}, curves)


def _data(seed, fast) -> HeldOutClasses:
    return digits(seed, per_class=20 if fast else 500)


def _scores(embeddings, ids):
    scores = retrieval_scores(embeddings, ids, ks=(1,))
    return {PRIMARY: scores[PRIMARY], "recall_at_1": scores["recall_at_1"]}


def _baselines(*, seeds, fast):
    """What needs no network: an order by chance, and the pixels themselves; the mean over seeds."""
    table = {"chance": [], "raw pixels": []}
    for seed in seeds:
        data = _data(seed, fast)
        by_chance = np.random.default_rng(seed).normal(size=(len(data.test), DIM))
        table["chance"].append(_scores(by_chance, data.test_ids))
        table["raw pixels"].append(_scores(data.test.reshape(len(data.test), -1), data.test_ids))
    return {
        name: {metric: float(np.mean([row[metric] for row in rows])) for metric in rows[0]}
        for name, rows in table.items()
    }


def _mean(result, arm):
    return result["arms"][arm][PRIMARY]["mean"]
