import logging

import keras
import numpy as np
import pytest
from keras import ops

from contrast.callbacks import EvaluateEmbeddings, KNNProbe, LinearProbe, RetrievalEvaluation
from contrast.evaluation import knn_probe, linear_probe, retrieval_scores
from tests.case import to_numpy

rng = np.random.default_rng(0)
Y = np.arange(90) % 3
X = (np.eye(3)[Y] @ rng.normal(size=(3, 12)) + rng.normal(size=(90, 12))).astype("float32")
TRAIN, TEST = (X[:60], Y[:60]), (X[60:], Y[60:])


def classifier(units=3):
    model = keras.Sequential(
        [keras.Input((12,)), keras.layers.Dense(6, name="features"), keras.layers.Dense(units)]
    )
    model.compile(keras.optimizers.SGD(0.1), keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def test_a_step_of_fit_logs_what_the_functions_give():
    model = classifier()
    encoder = model.get_layer("features")
    callbacks = [
        LinearProbe(TRAIN, TEST, encoder, batch_size=25, C=1.0),
        KNNProbe(TRAIN, TEST, encoder, k=5),
        RetrievalEvaluation(TEST, TRAIN, encoder, ks=(1, 3)),
        RetrievalEvaluation(TEST, name="outputs", ks=(1,)),
    ]
    history = model.fit(*TRAIN, batch_size=60, callbacks=callbacks, verbose=0).history
    train, test = (to_numpy(encoder(x)) for x in (X[:60], X[60:]))
    expected = {
        "linear_probe": linear_probe(train, Y[:60], test, Y[60:], C=1.0),
        "knn_probe": knn_probe(train, Y[:60], test, Y[60:], k=5),
        "retrieval": retrieval_scores(test, Y[60:], train, Y[:60], ks=(1, 3)),
        "outputs": retrieval_scores(to_numpy(model(X[60:])), Y[60:], ks=(1,)),
    }
    for name, scores in expected.items():
        for key, value in scores.items():
            assert history[f"{name}_{key}"] == pytest.approx([value], abs=1e-5), (name, key)
    assert history["retrieval_queries"] == [30]


@pytest.mark.once
def test_numbers_follow_the_training():
    """Features that training with labels shapes are told apart better than those of the beginning."""
    model = classifier()
    probe = KNNProbe(TRAIN, TEST, model, every=20)
    before = probe.scores(probe.encode)["accuracy"]
    history = model.fit(*TRAIN, epochs=60, callbacks=[probe], verbose=0).history
    assert len(history["knn_probe_accuracy"]) == 3 and len(history["loss"]) == 60
    assert history["knn_probe_accuracy"][-1] > before + 0.1


@pytest.mark.once
def test_any_function_and_any_encoder():
    def scores(embed):
        return {"mean": float(embed({"left": X, "right": X}).mean())}

    logs = {}
    callback = EvaluateEmbeddings(scores, lambda x: x["left"] - x["right"] + 2, name="both")
    callback.on_epoch_end(0, logs)
    assert logs == {"both_mean": 2}
    views = EvaluateEmbeddings(
        lambda embed: {"same": float((embed(X) == X).all())}, lambda x: {"a": ops.stack([x, 0 * x], axis=1)}
    )
    with pytest.raises(ValueError, match="'a'.*EvaluateEmbeddings.*select"):
        views.on_epoch_end(0, {})
    views.select = lambda outputs: outputs["a"]
    views.on_epoch_end(0, logs)
    assert logs["evaluation_same"] == 1


@pytest.mark.once
def test_training_goes_on_when_embeddings_are_not_finite(caplog):
    logs = {}
    probe = KNNProbe(TRAIN, TEST, lambda x: ops.where(ops.cast(x[:, :1], "float32") > 0, x, np.nan))
    with caplog.at_level(logging.WARNING, logger="contrast"):
        probe.on_epoch_end(4, logs)
    assert logs == {}
    broken = int((X[:60, 0] <= 0).sum())
    assert f"epoch 5, knn_probe: not measured, {broken} of 60 embeddings are not finite" in caplog.text


@pytest.mark.once
def test_errors():
    for make, error, says in [
        (lambda: KNNProbe(X, TEST), ValueError, "train must be a pair of samples and labels, got ndarray"),
        (lambda: KNNProbe((X[:0], Y[:0]), TEST), ValueError, "train must be .* at least 1 sample, got 0"),
        (lambda: KNNProbe(((X, X[:3]), Y), TEST), ValueError, "one length.* got 3, 90"),
        (lambda: LinearProbe(TRAIN, TEST, every=0), ValueError, "every must be a positive int, got 0"),
        (lambda: RetrievalEvaluation(TEST, TRAIN, "encoder"), TypeError, "encoder must be"),
        (lambda: EvaluateEmbeddings(None), TypeError, "scores must be a function of embed, got NoneType"),
        (
            lambda: KNNProbe((X, Y[:5]), TEST, lambda x: x).on_epoch_end(0),
            ValueError,
            r"train_labels must be \(90,\)",
        ),
    ]:
        with pytest.raises(error, match=says):
            make()
